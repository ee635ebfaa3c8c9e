// Attention over packed tokens: head dimension 64, in fp32 or bf16, sums in fp32.
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

#include "formats.h"
#include "parallel.h"

namespace jnlp {

constexpr int D = 64;         // head dimension
constexpr int KEYS = 8;       // keys whose scores are computed together
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
inline void load_row(const typename F::Element* at, const float* cos, const float* sin, int position, V (&x)[4]) {
    for (int i = 0; i < 4; ++i) x[i] = F::load(at + 16 * i);
    if (cos == nullptr) return;
    for (int i = 0; i < 2; ++i) {
        const V c = load(cos + position * 32 + 16 * i), s = load(sin + position * 32 + 16 * i);
        const V a = x[i], b = x[i + 2];
        x[i] = fnma(b, s, mul(a, c));
        x[i + 2] = fma(a, s, mul(b, c));
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
            V x[4];
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
        const V scale = all(0.125f);
        for (int c = 0; c < C; ++c) {
            alignas(64) uint32_t packed[16 * LANES];
            for (int r = 0; r < 16; ++r) {
                V x[4] = {};
                const int i = first + 16 * c + r;
                if (16 * c + r < rows) load_row<F>(call.q + (token + i) * call.stride + column, call.cos, call.sin, i, x);
                for (auto& part : x) part = mul(part, scale);
                F::pack(x, packed + r * LANES);
            }
            for (int lane = 0; lane < LANES; lane += 16)
                transpose(packed + lane, LANES, out + lane * 16 * C + 16 * c, 16 * C);
        }
    }

    // Scores of KEYS keys from j on by the vectors [c0, c0 + N) of 16 C queries; out of reach is -inf. Raises the maxima.
    template <int C, int N>
    void score(const uint32_t* q, int j, int first, int rows, int c0, float* out, V* top) const {
        constexpr int VECTORS_HERE = std::min(N, SCORE_VECTORS);
        const bool cut = j + KEYS > length || j + KEYS - 1 - first > window || first + rows - 1 - j > window;
        for (int c = c0; c < c0 + N; c += VECTORS_HERE)
            for (int r = 0; r < KEYS; r += SCORE_KEYS)
                score_tile<C, VECTORS_HERE>(q, j + r, first, c, cut, out + r * 16 * C, top);
    }

    // The scores of a register tile: SCORE_KEYS keys by N vectors of queries.
    template <int C, int N>
    void score_tile(const uint32_t* q, int j, int first, int c0, bool cut, float* out, V* top) const {
        const uint32_t* key = keys + (j - low) * LANES;
        V sums[SCORE_KEYS][N];
#pragma GCC unroll 8
        for (int r = 0; r < SCORE_KEYS; ++r)
            for (int c = 0; c < N; ++c) sums[r][c] = zero();
        for (int s = 0; s < LANES; ++s) {
            I lane[N];
            for (int c = 0; c < N; ++c) lane[c] = load_bits(q + s * 16 * C + 16 * (c0 + c));
#pragma GCC unroll 8
            for (int r = 0; r < SCORE_KEYS; ++r)
                for (int c = 0; c < N; ++c) sums[r][c] = F::dot(sums[r][c], key[r * LANES + s], lane[c]);
        }
        if (cut) {
#pragma GCC unroll 8
            for (int r = 0; r < SCORE_KEYS; ++r)
                for (int c = 0; c < N; ++c) {
                    const int nearest = first + 16 * (c0 + c) - (j + r) + window;
                    const V reached = choose(within(nearest, 2 * window), sums[r][c], all(LOWEST));
                    sums[r][c] = j + r < length ? reached : all(LOWEST);
                }
        }
#pragma GCC unroll 3
        for (int c = 0; c < N; ++c) {
            V best = top[c0 + c];
#pragma GCC unroll 8
            for (int r = 0; r < SCORE_KEYS; ++r) {
                best = max(best, sums[r][c]);
                store(out + r * 16 * C + 16 * (c0 + c), sums[r][c]);
            }
            top[c0 + c] = best;
        }
    }

    // Scores of KEYS keys by all of a block's vectors, of which only those that reach a key are multiplied.
    template <int C>
    void score_reached(const uint32_t* q, int j, int first, int rows, float* out, V* top) const {
        const int c0 = std::max(0, j - window - first) / 16;
        const int c1 = std::min(C, (j + KEYS - 1 + window - first) / 16 + 1);
        if (c1 - c0 == C) return score<C, C>(q, j, first, rows, 0, out, top);
        for (int r = 0; r < KEYS; ++r)
            for (int c = 0; c < C; ++c) store(out + r * 16 * C + 16 * c, all(LOWEST));
        if (c1 - c0 == 2) score<C, 2 < C ? 2 : C>(q, j, first, rows, c0, out, top);
        if (c1 - c0 == 1) score<C, 1>(q, j, first, rows, c0, out, top);
    }

    // out[R][64] = out * fade + weights[steps][R] * values[steps][64].
    template <int C, int R>
    static void weigh(const uint32_t* weights, const uint32_t* value, int steps, bool fresh, const float* fade, float* out) {
        for (int d0 = 0; d0 < 4; d0 += PANEL_VECTORS) {
            V sums[R][PANEL_VECTORS];
#pragma GCC unroll 6
            for (int r = 0; r < R; ++r)
                for (int d = 0; d < PANEL_VECTORS; ++d)
                    sums[r][d] = fresh ? zero() : mul(all(fade[r]), load(out + r * D + 16 * (d0 + d)));
            for (int s = 0; s < steps; ++s) {
                I lane[PANEL_VECTORS];
                for (int d = 0; d < PANEL_VECTORS; ++d) lane[d] = load_bits(value + s * D + 16 * (d0 + d));
#pragma GCC unroll 6
                for (int r = 0; r < R; ++r)
                    for (int d = 0; d < PANEL_VECTORS; ++d) sums[r][d] = F::dot(sums[r][d], weights[s * 16 * C + r], lane[d]);
            }
#pragma GCC unroll 6
            for (int r = 0; r < R; ++r)
                for (int d = 0; d < PANEL_VECTORS; ++d) store(out + r * D + 16 * (d0 + d), sums[r][d]);
        }
    }

    // Scores to weights, packed in place; returns nothing: top, shift (top in powers of two), sum and fade are updated.
    template <int C>
    static void soften(Tiles& t, int count, const V (&top)[C], V (&before)[C], V (&shift)[C],
                       V (&sum)[C]) {
        for (int c = 0; c < C; ++c) {
            // before any key was met, the maximum is -inf and every weight 2^-126
            const V next = choose(above(top[c], all(LOWEST)), mul(top[c], all(LOG2E)), zero());
            const V fade = choose(above(before[c], all(LOWEST)), exp2<F::DEGREE>(sub(shift[c], next)), zero());
            store(t.fade + 16 * c, fade);
            sum[c] = mul(sum[c], fade);
            shift[c] = next;
            before[c] = top[c];
        }
        for (int j = 0; j < count; j += F::PACK)
            for (int c = 0; c < C; ++c) {
                float* at = t.scores + j * 16 * C + 16 * c;
                for (int p = 0; p < F::PACK; ++p) {
                    const V w = exp2<F::DEGREE>(fms(load(at + p * 16 * C), all(LOG2E), shift[c]));
                    sum[c] = add(sum[c], w);
                    store(at + p * 16 * C, w);
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
        V top[C], before[C], shift[C], sum[C];
        for (int c = 0; c < C; ++c) {
            top[c] = before[c] = all(LOWEST);
            shift[c] = sum[c] = zero();
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
        for (int c = 0; c < C; ++c) store(t.sum + 16 * c, div(all(1.0f), sum[c]));
        for (int r = 0; r < rows; ++r)
            for (int d = 0; d < D; d += 16)
                F::store(call.out + (token + first + r) * call.out_stride + column + d,
                         mul(all(t.sum[r]), load(t.out + r * D + d)));
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
    parallel(tasks, threads, [&](int64_t n) {
        static thread_local Scratch scratch;
        const Span& span = all[n / heads];
        const int length = cu_seqlens[span.sequence + 1] - cu_seqlens[span.sequence];
        const int low = std::max(0, span.first - window) / KEYS * KEYS;
        const int high = std::min(length, span.end + window);
        const size_t bytes = sizeof(uint32_t) * round_up(high - low, KEYS) * (D / F::PACK);
        auto* memory = static_cast<char*>(scratch.room(sizeof(Tiles) + 2 * bytes));
        if (memory == nullptr) {
            failed = 1;
            return;
        }
        auto* tiles = reinterpret_cast<Tiles*>(memory);
        auto* keys = reinterpret_cast<uint32_t*>(memory + sizeof(Tiles));
        const Task<F> task{call, cu_seqlens[span.sequence], n % heads * D, length, window, low, keys, keys + bytes / 4};
        task.lay_out(high);
        task.run(span.first, span.end, *tiles);
    });
    return failed;
}

}  // namespace jnlp
