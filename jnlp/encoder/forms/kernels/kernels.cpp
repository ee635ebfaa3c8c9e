// The library: attention and the layers' steps for one kind of processor, as the compiler's flags say. Functions of formats that
// it does not multiply are left out. They return 0, or 1 where memory runs out. Also reads the postings of a full text.

#include "attention.h"
#include "layer_step.h"
#include "postings.h"

extern "C" {

// q, k, v: [T, heads, 64], tokens `stride` elements apart; cos, sin: fp32 [positions, 32], or null where q and k are turned
// already; out: [T, heads, 64], dense; cu_seqlens: [sequences + 1]; window: -1 is none.
int jnlp_attention_fp32(const float* q, const float* k, const float* v, int64_t stride, const float* cos, const float* sin,
                        float* out, const int32_t* cu_seqlens, int64_t sequences, int64_t heads, int32_t window,
                        int32_t threads) {
    const jnlp::Call<jnlp::Fp32> call{q, k, v, stride, cos, sin, out, heads * jnlp::D};
    return jnlp::attention(call, cu_seqlens, sequences, heads, window, threads);
}

// attended: [T, d], the output of the layer's attention, or null before the first layer; x: fp32 [T, d], the residual stream,
// changed in place; qkv: [T, 3 d] of the next layer, or null after the last. Products in the format of the name; attended and
// qkv in fp32, or in that of the end of the name.
int jnlp_layer_step_fp32(const jnlp::Layer* layer, const float* attended, float* x, float* qkv, int64_t tokens, int64_t d,
                         int32_t threads) {
    return jnlp::layer_step<jnlp::Fp32Products, jnlp::Fp32>(*layer, attended, x, qkv, tokens, d, threads);
}

int jnlp_layer_step_int8(const jnlp::Layer* layer, const float* attended, float* x, float* qkv, int64_t tokens, int64_t d,
                         int32_t threads) {
    return jnlp::layer_step<jnlp::Int8Products, jnlp::Fp32>(*layer, attended, x, qkv, tokens, d, threads);
}

// What is added to a quantised activation, and subtracted again by `sums` of a layer.
int jnlp_int8_offset() { return jnlp::INT8_OFFSET; }

// Read a word's rows from the pages of a full text; see postings.h. Numbers and starts are in 32 bits, or in 64 if wide;
// positions in 16, or in 32 if far. -1: a page is damaged; 1: the next ones are needed of the segments in `more`.
int jnlp_postings_read(const jnlp::Pages* pages, const uint8_t* word, int64_t length, int32_t wide, int32_t far, void* numbers,
                       void* starts, void* positions, int32_t* more, jnlp::Found* found) {
    *found = jnlp::Found{};
    const auto read = [&](auto* rows, auto* places) {
        return jnlp::read_postings(*pages, word, length, rows, static_cast<decltype(rows)>(starts), places, more, *found);
    };
    auto* near_places = static_cast<uint16_t*>(positions);
    auto* far_places = static_cast<int32_t*>(positions);
    if (wide) {
        auto* rows = static_cast<int64_t*>(numbers);
        return far ? read(rows, far_places) : read(rows, near_places);
    }
    auto* rows = static_cast<int32_t*>(numbers);
    return far ? read(rows, far_places) : read(rows, near_places);
}

// How often a word is in each of some passages, int32 [count]; numbers and starts as `jnlp_postings_read` leaves them.
void jnlp_postings_counts(const void* numbers, const void* starts, int64_t rows, int32_t wide, const int64_t* wanted,
                          int64_t count, int32_t* found) {
    if (wide)
        jnlp::counts_in(static_cast<const int64_t*>(numbers), static_cast<const int64_t*>(starts), rows, wanted, count, found);
    else
        jnlp::counts_in(static_cast<const int32_t*>(numbers), static_cast<const int32_t*>(starts), rows, wanted, count, found);
}

// Take the threads of the OpenMP library at this path; 1 if it is none.
int jnlp_use_openmp(const char* path) { return jnlp::use_openmp(path); }

#ifdef JNLP_BF16
int jnlp_attention_bf16(const uint16_t* q, const uint16_t* k, const uint16_t* v, int64_t stride, const float* cos,
                        const float* sin, uint16_t* out, const int32_t* cu_seqlens, int64_t sequences, int64_t heads,
                        int32_t window, int32_t threads) {
    const jnlp::Call<jnlp::Bf16> call{q, k, v, stride, cos, sin, out, heads * jnlp::D};
    return jnlp::attention(call, cu_seqlens, sequences, heads, window, threads);
}

int jnlp_layer_step_bf16_bf16(const jnlp::Layer* layer, const uint16_t* attended, float* x, uint16_t* qkv, int64_t tokens,
                              int64_t d, int32_t threads) {
    return jnlp::layer_step<jnlp::Bf16Products, jnlp::Bf16>(*layer, attended, x, qkv, tokens, d, threads);
}

// A linear layer, the queries', keys' and values' of `layer`, from x to out: fp32 [T, outputs], products in bf16.
int jnlp_product_bf16(const jnlp::Layer* layer, const float* none, float* x, float* out, int64_t tokens, int64_t d,
                      int32_t threads) {
    return jnlp::layer_step<jnlp::Bf16Products, jnlp::Fp32>(*layer, none, x, out, tokens, d, threads);
}

int jnlp_layer_step_int8_bf16(const jnlp::Layer* layer, const uint16_t* attended, float* x, uint16_t* qkv, int64_t tokens,
                              int64_t d, int32_t threads) {
    return jnlp::layer_step<jnlp::Int8Products, jnlp::Bf16>(*layer, attended, x, qkv, tokens, d, threads);
}
#endif

}  // extern "C"
