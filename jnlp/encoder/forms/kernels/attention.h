// Attention over packed tokens on processors with AVX-512: head dimension 64, in fp32 or bf16, sums in fp32.
//
// A task is a head of a span of queries of one sequence. It lays out the keys and values that the span reaches (keys
// turned by the rotary angles, neighbours packed into 32-bit lanes), then runs block by block of queries over them with a
// running softmax (Milakov and Gimelshein 2018; Dao et al. 2022). Lanes of a vector are queries in the scores, so that
// maxima and sums need no reduction across lanes, and dimensions in the output. All of it stays in a thread's own scratch.

#pragma once

#include <algorithm>
#include <atomic>
#include <limits>
#include <vector>

#include "vectors.h"

namespace jnlp {

constexpr int D = 64;         // head dimension
constexpr int KEYS = 8;       // keys of a tile of scores
constexpr int VECTORS = 3;    // a block is up to 3 vectors of 16 queries
constexpr int CHUNK = 128;    // keys between two updates of the softmax
constexpr int SPAN = 768;     // queries of a task within a window: its keys fit the second-level cache
constexpr int NO_WINDOW = 1 << 29;
constexpr float LOG2E = 1.44269504088896341f;
constexpr float LOWEST = -std::numeric_limits<float>::infinity();

template <class F>
struct Call {
    const typename F::Element *q, *k, *v;  // [T, heads, 64], tokens `stride` apart
    int64_t stride;
    const float *cos, *sin;  // [positions, 32], or null: turned already
    typename F::Element* out;  // [T, heads, 64], tokens `out_stride` apart
    int64_t out_stride;
};

// One head of one token in fp32, turned by the angles of its position: component i together with i + 32.
template <class F>
inline void load_row(const typename F::Element* at, const float* cos, const float* sin, int position, __m512 (&x)[4]) {
    for (int i = 0; i < 4; ++i) x[i] = F::load(at + 16 * i);
    if (cos == nullptr) return;
    for (int i = 0; i < 2; ++i) {
        const __m512 c = _mm512_loadu_ps(cos + position * 32 + 16 * i), s = _mm512_loadu_ps(sin + position * 32 + 16 * i);
        const __m512 a = x[i], b = x[i + 2];
        x[i] = _mm512_fnmadd_ps(b, s, _mm512_mul_ps(a, c));
        x[i + 2] = _mm512_fmadd_ps(a, s, _mm512_mul_ps(b, c));
    }
}

template <class F>
struct Task {
    static constexpr int LANES = D / F::PACK;  // lanes of a key
    static constexpr int BLOCK = 16 * VECTORS;

    const Call<F>& call;
    int64_t token;   // first of the sequence among all tokens
    int64_t column;  // first element of the head
    int length;      // of the sequence
    int window;      // NO_WINDOW: none
    int low;         // first key laid out
    uint32_t* keys;    // [keys][LANES]
    uint32_t* values;  // [keys / PACK][64]

    struct Tiles {
        alignas(64) uint32_t q[LANES * BLOCK];     // [lanes][queries]
        alignas(64) float scores[CHUNK * BLOCK];   // [keys][queries]; then, packed in place, the weights
        alignas(64) float out[BLOCK * D];          // [queries][64]
        alignas(64) float fade[BLOCK], sum[BLOCK];
    };

    void lay_out(int high) const {
        const int end = low + round_up(high - low, KEYS);
        for (int j = low; j < high; ++j) {
            __m512 x[4];
            load_row<F>(call.k + (token + j) * call.stride + column, call.cos, call.sin, j, x);
            F::pack(x, keys + (j - low) * LANES);
        }
        std::memset(keys + (high - low) * LANES, 0, sizeof(uint32_t) * (end - high) * LANES);
        alignas(64) static const typename F::Element zero[D] = {};
        for (int j = low; j < end; j += F::PACK) {
            const typename F::Element* rows[F::PACK];
            for (int p = 0; p < F::PACK; ++p)
                rows[p] = j + p < high ? call.v + (token + j + p) * call.stride + column : zero;
            F::interleave(rows, values + (j - low) / F::PACK * D);
        }
    }

    // Queries [first, first + rows) as [lanes][16 C queries], scaled by 1 / sqrt(64).
    template <int C>
    void load_queries(int first, int rows, uint32_t* out) const {
        const __m512 scale = _mm512_set1_ps(0.125f);
        for (int c = 0; c < C; ++c) {
            alignas(64) uint32_t packed[16 * LANES];
            for (int r = 0; r < 16; ++r) {
                __m512 x[4] = {};
                const int i = first + 16 * c + r;
                if (16 * c + r < rows) load_row<F>(call.q + (token + i) * call.stride + column, call.cos, call.sin, i, x);
                for (auto& part : x) part = _mm512_mul_ps(part, scale);
                F::pack(x, packed + r * LANES);
            }
            for (int lane = 0; lane < LANES; lane += 16) {
                __m512i square[16];
                for (int r = 0; r < 16; ++r) square[r] = _mm512_load_si512(packed + r * LANES + lane);
                transpose(square);
                for (int r = 0; r < 16; ++r) _mm512_store_si512(out + (lane + r) * 16 * C + 16 * c, square[r]);
            }
        }
    }

    // Scores of KEYS keys from j on by the vectors [c, c + N) of 16 C queries; out of reach is -inf. Raises the maxima.
    template <int C, int N>
    void score(const uint32_t* q, int j, int first, int rows, int c0, float* out, __m512* top) const {
        const uint32_t* key = keys + (j - low) * LANES;
        __m512 sums[KEYS][N];
        for (auto& row : sums)
            for (auto& sum : row) sum = _mm512_setzero_ps();
        for (int s = 0; s < LANES; ++s) {
            __m512i lane[N];
            for (int c = 0; c < N; ++c) lane[c] = _mm512_load_si512(q + s * 16 * C + 16 * (c0 + c));
#pragma GCC unroll 8
            for (int r = 0; r < KEYS; ++r)
                for (int c = 0; c < N; ++c) sums[r][c] = F::dot(sums[r][c], key[r * LANES + s], lane[c]);
        }
        if (j + KEYS > length || j + KEYS - 1 - first > window || first + rows - 1 - j > window) {
            const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
            const __m512i widest = _mm512_set1_epi32(2 * window);
            for (int r = 0; r < KEYS; ++r)
                for (int c = 0; c < N; ++c) {
                    const int nearest = first + 16 * (c0 + c) - (j + r) + window;
                    const __m512i apart = _mm512_add_epi32(lanes, _mm512_set1_epi32(nearest));
                    const __mmask16 reached = j + r < length ? _mm512_cmple_epu32_mask(apart, widest) : 0;
                    sums[r][c] = _mm512_mask_mov_ps(_mm512_set1_ps(LOWEST), reached, sums[r][c]);
                }
        }
        for (int c = 0; c < N; ++c) {
            __m512 best = top[c0 + c];
            for (int r = 0; r < KEYS; ++r) {
                best = _mm512_max_ps(best, sums[r][c]);
                _mm512_store_ps(out + r * 16 * C + 16 * (c0 + c), sums[r][c]);
            }
            top[c0 + c] = best;
        }
    }

    // Scores of KEYS keys by all of a block's vectors, of which only those that reach a key are multiplied.
    template <int C>
    void score_reached(const uint32_t* q, int j, int first, int rows, float* out, __m512* top) const {
        const int c0 = std::max(0, j - window - first) / 16;
        const int c1 = std::min(C, (j + KEYS - 1 + window - first) / 16 + 1);
        if (c1 - c0 == C) return score<C, C>(q, j, first, rows, 0, out, top);
        for (int r = 0; r < KEYS; ++r)
            for (int c = 0; c < C; ++c) _mm512_store_ps(out + r * 16 * C + 16 * c, _mm512_set1_ps(LOWEST));
        if (c1 - c0 == 2) score<C, 2 < C ? 2 : C>(q, j, first, rows, c0, out, top);
        if (c1 - c0 == 1) score<C, 1>(q, j, first, rows, c0, out, top);
    }

    // out[R][64] = out * fade + weights[steps][R] * values[steps][64].
    template <int C, int R>
    static void weigh(const uint32_t* weights, const uint32_t* value, int steps, bool fresh, const float* fade, float* out) {
        __m512 sums[R][4];
        for (int r = 0; r < R; ++r)
            for (int d = 0; d < 4; ++d)
                sums[r][d] = fresh ? _mm512_setzero_ps()
                                   : _mm512_mul_ps(_mm512_set1_ps(fade[r]), _mm512_load_ps(out + r * D + 16 * d));
        for (int s = 0; s < steps; ++s) {
            __m512i lane[4];
            for (int d = 0; d < 4; ++d) lane[d] = _mm512_load_si512(value + s * D + 16 * d);
#pragma GCC unroll 6
            for (int r = 0; r < R; ++r)
                for (int d = 0; d < 4; ++d) sums[r][d] = F::dot(sums[r][d], weights[s * 16 * C + r], lane[d]);
        }
        for (int r = 0; r < R; ++r)
            for (int d = 0; d < 4; ++d) _mm512_store_ps(out + r * D + 16 * d, sums[r][d]);
    }

    // Scores to weights, packed in place; returns nothing: top, shift (top in powers of two), sum and fade are updated.
    template <int C>
    static void soften(Tiles& t, int count, const __m512 (&top)[C], __m512 (&before)[C], __m512 (&shift)[C],
                       __m512 (&sum)[C]) {
        for (int c = 0; c < C; ++c) {
            const __m512 lowest = _mm512_set1_ps(LOWEST);
            const __mmask16 met = _mm512_cmp_ps_mask(before[c], lowest, _CMP_NEQ_OQ);
            const __mmask16 meets = _mm512_cmp_ps_mask(top[c], lowest, _CMP_NEQ_OQ);  // else every weight is 2^-126
            const __m512 next = _mm512_maskz_mul_ps(meets, top[c], _mm512_set1_ps(LOG2E));
            const __m512 fade = _mm512_mask_mov_ps(_mm512_setzero_ps(), met, exp2<F::DEGREE>(_mm512_sub_ps(shift[c], next)));
            _mm512_store_ps(t.fade + 16 * c, fade);
            sum[c] = _mm512_mul_ps(sum[c], fade);
            shift[c] = next;
            before[c] = top[c];
        }
        for (int j = 0; j < count; j += F::PACK)
            for (int c = 0; c < C; ++c) {
                float* at = t.scores + j * 16 * C + 16 * c;
                for (int p = 0; p < F::PACK; ++p) {
                    const __m512 x = _mm512_fmsub_ps(_mm512_load_ps(at + p * 16 * C), _mm512_set1_ps(LOG2E), shift[c]);
                    const __m512 w = exp2<F::DEGREE>(x);
                    sum[c] = _mm512_add_ps(sum[c], w);
                    _mm512_store_ps(at + p * 16 * C, w);
                }
                F::pair(at, 16 * C, reinterpret_cast<uint32_t*>(t.scores) + j / F::PACK * 16 * C + 16 * c);
            }
    }

    template <int C>
    void attend(int first, Tiles& t) const {
        constexpr int R = C == 3 ? 6 : 4;
        const int rows = std::min(16 * C, length - first);
        const int from = std::max(0, first - window) / KEYS * KEYS;
        const int to = std::min(length, first + rows + window);
        __m512 top[C], before[C], shift[C], sum[C];
        for (int c = 0; c < C; ++c) {
            top[c] = before[c] = _mm512_set1_ps(LOWEST);
            shift[c] = sum[c] = _mm512_setzero_ps();
        }
        load_queries<C>(first, rows, t.q);
        for (int start = from; start < to; start += CHUNK) {
            const int count = std::min(CHUNK, round_up(to - start, KEYS));
            for (int j = 0; j < count; j += KEYS)
                score_reached<C>(t.q, start + j, first, rows, t.scores + j * 16 * C, top);
            soften<C>(t, count, top, before, shift, sum);
            const uint32_t* value = values + (start - low) / F::PACK * D;
            for (int r = 0; r < rows; r += R) {
                // only the keys that one of these queries reaches
                const int near = std::max(0, first + r - window - start) / F::PACK;
                const int far = std::min(count, first + r + R + window - start + F::PACK - 1) / F::PACK;
                weigh<C, R>(reinterpret_cast<const uint32_t*>(t.scores) + near * 16 * C + r, value + near * D, far - near,
                            start == from, t.fade + r, t.out + r * D);
            }
        }
        for (int c = 0; c < C; ++c) _mm512_store_ps(t.sum + 16 * c, _mm512_div_ps(_mm512_set1_ps(1.0f), sum[c]));
        for (int r = 0; r < rows; ++r)
            for (int d = 0; d < D; d += 16)
                F::store(call.out + (token + first + r) * call.out_stride + column + d,
                         _mm512_mul_ps(_mm512_set1_ps(t.sum[r]), _mm512_load_ps(t.out + r * D + d)));
    }

    // Queries [first, end), block by block; a sequence's last 4 vectors are two blocks of 2.
    void run(int first, int end, Tiles& t) const {
        while (first < end) {
            const int left = (length - first + 15) / 16;
            const int vectors = left == 4 ? 2 : std::min(VECTORS, left);
            if (vectors == 3) attend<3>(first, t);
            if (vectors == 2) attend<2>(first, t);
            if (vectors == 1) attend<1>(first, t);
            first += 16 * vectors;
        }
    }
};

struct Span {
    int64_t sequence;
    int first, end;
};

// Cut sequences into spans, each a multiple of a block: tasks enough for all threads, and keys that fit the caches.
inline std::vector<Span> spans(const int32_t* cu_seqlens, int64_t sequences, int64_t heads, int window, int threads) {
    const int64_t share = cu_seqlens[sequences] * heads / (4 * threads) / (16 * VECTORS) * (16 * VECTORS);
    const int64_t most = window < NO_WINDOW ? SPAN : std::max<int64_t>(share, SPAN);
    std::vector<Span> found;
    for (int64_t n = 0; n < sequences; ++n) {
        const int length = cu_seqlens[n + 1] - cu_seqlens[n];
        for (int first = 0; first < length;) {
            const bool last = length - first < most + 64;  // a tail shorter than 4 vectors has no span of its own
            const int end = last ? length : first + static_cast<int>(most);
            found.push_back({n, first, end});
            first = end;
        }
    }
    return found;
}

// Attend within each sequence of cu_seqlens [sequences + 1]. Returns 0, or 1 where memory runs out.
template <class F>
int attention(const Call<F>& call, const int32_t* cu_seqlens, int64_t sequences, int64_t heads, int window,
              int threads) {
    using Tiles = typename Task<F>::Tiles;
    window = window < 0 ? NO_WINDOW : std::min(window, NO_WINDOW);
    const std::vector<Span> all = spans(cu_seqlens, sequences, heads, window, threads);
    const int64_t tasks = static_cast<int64_t>(all.size()) * heads;
    std::atomic<int> failed{0};
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t n = 0; n < tasks; ++n) {
        static thread_local Scratch scratch;
        const Span& span = all[n / heads];
        const int length = cu_seqlens[span.sequence + 1] - cu_seqlens[span.sequence];
        const int low = std::max(0, span.first - window) / KEYS * KEYS;
        const int high = std::min(length, span.end + window);
        const size_t bytes = sizeof(uint32_t) * round_up(high - low, KEYS) * (D / F::PACK);
        auto* memory = static_cast<char*>(scratch.room(sizeof(Tiles) + 2 * bytes));
        if (memory == nullptr) {
            failed = 1;
            continue;
        }
        auto* tiles = reinterpret_cast<Tiles*>(memory);
        auto* keys = reinterpret_cast<uint32_t*>(memory + sizeof(Tiles));
        const Task<F> task{call, cu_seqlens[span.sequence], n % heads * D, length, window, low, keys, keys + bytes / 4};
        task.lay_out(high);
        task.run(span.first, span.end, *tiles);
    }
    return failed;
}

}  // namespace jnlp
