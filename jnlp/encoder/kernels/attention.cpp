// Attention over packed tokens on processors with AVX-512 bf16: head dimension 64, bf16 in and out, fp32 inside.
//
// Keys and values are laid out once for vdpbf16ps (pairs of neighbours in one 32-bit lane): keys by 16 and pairs of
// dimensions, values by pairs of keys. Then each block of queries runs over the keys that it reaches with a running
// softmax (Milakov and Gimelshein 2018; Dao et al. 2022). A token of a local layer reaches |i - j| <= window.

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <vector>

namespace {

constexpr int D = 64;        // head dimension
constexpr int ROWS = 6;      // queries of one register tile: 6 x 4 accumulators
constexpr int BLOCK = 48;    // queries of a block
constexpr int CHUNK = 128;   // keys between two updates of the softmax
constexpr float LOWEST = -std::numeric_limits<float>::infinity();

using bf16 = uint16_t;

inline int round_up(int n, int step) { return (n + step - 1) / step * step; }

// Keys as [16 keys][32 pairs of dimensions] -> lanes of a vector are keys.
void lay_keys(const bf16* k, int64_t stride, int length, uint32_t* out) {
    for (int j = 0; j < length; ++j) {
        const auto* row = reinterpret_cast<const uint32_t*>(k + j * stride);
        uint32_t* to = out + (j / 16) * 32 * 16 + j % 16;
        for (int p = 0; p < 32; ++p) to[p * 16] = row[p];
    }
    for (int j = length; j < round_up(length, 16); ++j)
        for (int p = 0; p < 32; ++p) out[(j / 16) * 32 * 16 + p * 16 + j % 16] = 0;
}

// Values as [pairs of keys][64 dimensions] -> lanes of a vector are dimensions.
void lay_values(const bf16* v, int64_t stride, int length, uint32_t* out) {
    const int padded = round_up(length, 16);
    alignas(64) static const bf16 zero[D] = {};
    for (int j = 0; j < padded; j += 2) {
        const bf16* even = j < length ? v + j * stride : zero;
        const bf16* odd = j + 1 < length ? v + (j + 1) * stride : zero;
        uint32_t* to = out + (j / 2) * D;
        for (int d = 0; d < D; d += 16) {
            const __m512i a = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(even + d)));
            const __m512i b = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(odd + d)));
            _mm512_storeu_si512(to + d, _mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
        }
    }
}

inline __m512 dot(__m512 sum, uint32_t pair, __m512i lanes) {
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(static_cast<int>(pair)), (__m512bh)lanes);
}

// tile[ROWS][4 vectors] (+)= left[ROWS][steps] * right[steps][4 vectors], all in pairs.
template <bool ADD>
inline void multiply(const uint32_t* left, int left_stride, const uint32_t* right, int64_t step, int64_t column, int steps,
                     float* out, int out_stride) {
    __m512 sums[ROWS][4];
    for (int r = 0; r < ROWS; ++r)
        for (int c = 0; c < 4; ++c)
            sums[r][c] = ADD ? _mm512_loadu_ps(out + r * out_stride + 16 * c) : _mm512_setzero_ps();
    for (int s = 0; s < steps; ++s) {
        const uint32_t* at = right + s * step;
        const __m512i b0 = _mm512_loadu_si512(at), b1 = _mm512_loadu_si512(at + column);
        const __m512i b2 = _mm512_loadu_si512(at + 2 * column), b3 = _mm512_loadu_si512(at + 3 * column);
#pragma GCC unroll 6
        for (int r = 0; r < ROWS; ++r) {
            const uint32_t pair = left[r * left_stride + s];
            sums[r][0] = dot(sums[r][0], pair, b0);
            sums[r][1] = dot(sums[r][1], pair, b1);
            sums[r][2] = dot(sums[r][2], pair, b2);
            sums[r][3] = dot(sums[r][3], pair, b3);
        }
    }
    for (int r = 0; r < ROWS; ++r)
        for (int c = 0; c < 4; ++c) _mm512_storeu_ps(out + r * out_stride + 16 * c, sums[r][c]);
}

// e^x for x <= 0, within 2 units in the last place of fp32; e^-inf = 0.
inline __m512 exponential(__m512 x) {
    const __m512 low = _mm512_set1_ps(-87.0f);
    const __mmask16 live = _mm512_cmp_ps_mask(x, low, _CMP_GE_OQ);
    x = _mm512_max_ps(x, low);
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341f)), 0);
    __m512 f = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    f = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), f);
    __m512 p = _mm512_set1_ps(1.9875691500e-4f);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.3981999507e-3f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.0000001201e-1f));
    p = _mm512_fmadd_ps(p, _mm512_mul_ps(f, f), _mm512_add_ps(f, _mm512_set1_ps(1.0f)));
    return _mm512_maskz_scalef_ps(live, p, n);
}

struct Scratch {
    alignas(64) uint32_t q[BLOCK * D / 2];
    alignas(64) float scores[BLOCK * CHUNK];
    alignas(64) uint32_t weights[BLOCK * CHUNK / 2];
    alignas(64) float out[BLOCK * D];
    float top[BLOCK], sum[BLOCK];
};

// One block of queries [first, first + rows) of a sequence of `length`, keys and values laid out.
void attend(const bf16* q, int64_t stride, int first, int rows, int length, int window, const uint32_t* keys,
            const uint32_t* values, bf16* out, int64_t out_stride, Scratch& s) {
    const int padded = round_up(rows, ROWS);
    const __m512 scale = _mm512_set1_ps(0.125f);  // 1 / sqrt(64): exact in bf16
    for (int r = 0; r < padded; ++r)
        for (int d = 0; d < D; d += 16) {
            __m512 x = _mm512_setzero_ps();
            if (r < rows) {
                const auto* at = reinterpret_cast<const __m256i*>(q + (first + r) * stride + d);
                x = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(at)), 16));
            }
            const __m256bh half = _mm512_cvtneps_pbh(_mm512_mul_ps(x, scale));
            _mm256_store_si256(reinterpret_cast<__m256i*>(s.q + r * (D / 2) + d / 2), (__m256i)half);
        }
    std::fill(s.out, s.out + padded * D, 0.0f);
    std::fill(s.top, s.top + padded, LOWEST);
    std::fill(s.sum, s.sum + padded, 0.0f);
    const int from = window < 0 ? 0 : std::max(0, first - window) / 16 * 16;
    const int to = window < 0 ? length : std::min(length, first + rows + window);
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    for (int start = from; start < to; start += CHUNK) {
        const int count = std::min(CHUNK, round_up(to - start, 16));
        for (int r = 0; r < padded; r += ROWS)
            for (int j = 0; j < count; j += 64) {
                // Past the last keys the tile reads what follows in the buffer; those scores are masked below.
                multiply<false>(s.q + r * (D / 2), D / 2, keys + (start + j) / 16 * (32 * 16), 16, 32 * 16, 32,
                                s.scores + r * CHUNK + j, CHUNK);
            }
        for (int r = 0; r < padded; ++r) {
            float* row = s.scores + r * CHUNK;
            const int i = first + r;
            const int low = window < 0 ? 0 : i - window;
            const int high = window < 0 ? length - 1 : std::min(length - 1, i + window);
            __m512 best = _mm512_set1_ps(LOWEST);
            for (int j = 0; j < count; j += 16) {
                const __m512i at = _mm512_add_epi32(lanes, _mm512_set1_epi32(start + j));
                const __mmask16 reached = _mm512_cmp_epi32_mask(at, _mm512_set1_epi32(low), _MM_CMPINT_NLT) &
                                          _mm512_cmp_epi32_mask(at, _mm512_set1_epi32(high), _MM_CMPINT_LE);
                const __m512 x = _mm512_mask_loadu_ps(_mm512_set1_ps(LOWEST), reached, row + j);
                _mm512_store_ps(row + j, x);
                best = _mm512_max_ps(best, x);
            }
            const float top = std::max(s.top[r], _mm512_reduce_max_ps(best));
            const float base = top == LOWEST ? 0.0f : top;  // nothing reached yet: every weight is e^-inf
            const __m512 shift = _mm512_set1_ps(base);
            __m512 total = _mm512_setzero_ps();
            for (int j = 0; j < count; j += 16) {
                const __m512 w = exponential(_mm512_sub_ps(_mm512_load_ps(row + j), shift));
                total = _mm512_add_ps(total, w);
                _mm256_store_si256(reinterpret_cast<__m256i*>(s.weights + r * (CHUNK / 2) + j / 2),
                                   (__m256i)_mm512_cvtneps_pbh(w));
            }
            const float faded = s.top[r] == LOWEST ? 0.0f : std::exp(s.top[r] - base);
            s.sum[r] = s.sum[r] * faded + _mm512_reduce_add_ps(total);
            if (faded != 1.0f) {
                const __m512 fade = _mm512_set1_ps(faded);
                for (int d = 0; d < D; d += 16)
                    _mm512_store_ps(s.out + r * D + d, _mm512_mul_ps(fade, _mm512_load_ps(s.out + r * D + d)));
            }
            s.top[r] = top;
        }
        for (int r = 0; r < padded; r += ROWS)
            multiply<true>(s.weights + r * (CHUNK / 2), CHUNK / 2, values + start / 2 * D, D, 16, count / 2,
                           s.out + r * D, D);
    }
    for (int r = 0; r < rows; ++r) {
        const __m512 share = _mm512_set1_ps(1.0f / s.sum[r]);
        for (int d = 0; d < D; d += 16)
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + (first + r) * out_stride + d),
                                (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(share, _mm512_load_ps(s.out + r * D + d))));
    }
}

}  // namespace

// q, k, v: bf16 [T, heads, 64], tokens `stride` elements apart; out: bf16 [T, heads, 64], dense. cu_seqlens: int32
// [sequences + 1]. window: -1 is none. Returns 0, or 1 where memory runs out.
extern "C" int jnlp_attention_bf16(const bf16* q, const bf16* k, const bf16* v, int64_t stride, bf16* out,
                                   const int32_t* cu_seqlens, int64_t sequences, int64_t heads, int32_t window,
                                   int32_t threads) {
    std::vector<int64_t> offsets(sequences + 1, 0);  // in keys, each sequence padded to 16
    std::vector<std::pair<int32_t, int32_t>> blocks;
    for (int64_t n = 0; n < sequences; ++n) {
        const int length = cu_seqlens[n + 1] - cu_seqlens[n];
        offsets[n + 1] = offsets[n] + round_up(length, 16);
        for (int first = 0; first < length; first += BLOCK) blocks.emplace_back(n, first);
    }
    const int64_t keys_a_head = offsets[sequences] + 64;  // a tile may read 48 keys past the end
    const size_t bytes = static_cast<size_t>(2 * heads * keys_a_head) * D * sizeof(bf16);
    auto* memory = static_cast<uint32_t*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
    if (memory == nullptr) return 1;
    uint32_t* keys = memory;
    uint32_t* values = memory + heads * keys_a_head * (D / 2);
    const int64_t row = heads * D;
#pragma omp parallel num_threads(threads)
    {
        Scratch scratch;
#pragma omp for collapse(2) schedule(dynamic)
        for (int64_t n = 0; n < sequences; ++n)
            for (int64_t h = 0; h < heads; ++h) {
                const int64_t at = cu_seqlens[n] * stride + h * D;
                const int length = cu_seqlens[n + 1] - cu_seqlens[n];
                const int64_t to = (h * keys_a_head + offsets[n]) * (D / 2);
                lay_keys(k + at, stride, length, keys + to);
                lay_values(v + at, stride, length, values + to);
            }
#pragma omp for collapse(2) schedule(dynamic)
        for (int64_t h = 0; h < heads; ++h)
            for (size_t b = 0; b < blocks.size(); ++b) {
                const auto [n, first] = blocks[b];
                const int length = cu_seqlens[n + 1] - cu_seqlens[n];
                const int64_t from = (h * keys_a_head + offsets[n]) * (D / 2);
                attend(q + cu_seqlens[n] * stride + h * D, stride, first, std::min(BLOCK, length - first), length, window,
                       keys + from, values + from, out + cu_seqlens[n] * row + h * D, row, scratch);
            }
    }
    std::free(memory);
    return 0;
}
