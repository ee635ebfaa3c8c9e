// Attention in fp32; see attention.h.

#include "attention.h"

// q, k, v: [T, heads, 64], tokens `stride` elements apart; cos, sin: fp32 [positions, 32], or null where q and k are turned
// already; out: [T, heads, 64], dense; cu_seqlens: [sequences + 1]; window: -1 is none. Returns 1 where memory runs out.
extern "C" int jnlp_attention_fp32(const float* q, const float* k, const float* v, int64_t stride, const float* cos,
                                   const float* sin, float* out, const int32_t* cu_seqlens, int64_t sequences,
                                   int64_t heads, int32_t window, int32_t threads) {
    const jnlp::Call<jnlp::Fp32> call{q, k, v, stride, cos, sin, out, heads * jnlp::D};
    return jnlp::attention(call, cu_seqlens, sequences, heads, window, threads);
}
