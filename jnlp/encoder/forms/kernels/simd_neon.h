// Sixteen 32-bit lanes in four registers of NEON; the names are those of simd_avx512.h.

#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace jnlp {

constexpr int SCORE_KEYS = 4;
constexpr int SCORE_VECTORS = 1;
constexpr int TILE = 6;
constexpr int PANEL_VECTORS = 1;

struct V {
    float32x4_t a, b, c, d;
};
struct I {
    int32x4_t a, b, c, d;
};
struct M {
    uint32x4_t a, b, c, d;
};

inline V zero() { return {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)}; }
inline V all(float x) { return {vdupq_n_f32(x), vdupq_n_f32(x), vdupq_n_f32(x), vdupq_n_f32(x)}; }
inline V load(const float* at) { return {vld1q_f32(at), vld1q_f32(at + 4), vld1q_f32(at + 8), vld1q_f32(at + 12)}; }
inline void store(float* at, V x) {
    vst1q_f32(at, x.a);
    vst1q_f32(at + 4, x.b);
    vst1q_f32(at + 8, x.c);
    vst1q_f32(at + 12, x.d);
}
#define JNLP_EACH(f, x, y) {f(x.a, y.a), f(x.b, y.b), f(x.c, y.c), f(x.d, y.d)}
inline V add(V a, V b) { return JNLP_EACH(vaddq_f32, a, b); }
inline V sub(V a, V b) { return JNLP_EACH(vsubq_f32, a, b); }
inline V mul(V a, V b) { return JNLP_EACH(vmulq_f32, a, b); }
inline V div(V a, V b) { return JNLP_EACH(vdivq_f32, a, b); }
inline V max(V a, V b) { return JNLP_EACH(vmaxq_f32, a, b); }
inline V min(V a, V b) { return JNLP_EACH(vminq_f32, a, b); }
inline M above(V a, V b) { return JNLP_EACH(vcgtq_f32, a, b); }
#undef JNLP_EACH
inline V fma(V a, V b, V c) {
    return {vfmaq_f32(c.a, a.a, b.a), vfmaq_f32(c.b, a.b, b.b), vfmaq_f32(c.c, a.c, b.c), vfmaq_f32(c.d, a.d, b.d)};
}
inline V fnma(V a, V b, V c) {
    return {vfmsq_f32(c.a, a.a, b.a), vfmsq_f32(c.b, a.b, b.b), vfmsq_f32(c.c, a.c, b.c), vfmsq_f32(c.d, a.d, b.d)};
}
inline V fms(V a, V b, V c) { return fma(a, b, {vnegq_f32(c.a), vnegq_f32(c.b), vnegq_f32(c.c), vnegq_f32(c.d)}); }
inline V abs(V x) { return {vabsq_f32(x.a), vabsq_f32(x.b), vabsq_f32(x.c), vabsq_f32(x.d)}; }
inline float largest(V x) { return vmaxvq_f32(vmaxq_f32(vmaxq_f32(x.a, x.b), vmaxq_f32(x.c, x.d))); }
inline float total(V x) { return vaddvq_f32(vaddq_f32(vaddq_f32(x.a, x.b), vaddq_f32(x.c, x.d))); }

inline V choose(M mask, V yes, V no) {
    return {vbslq_f32(mask.a, yes.a, no.a), vbslq_f32(mask.b, yes.b, no.b), vbslq_f32(mask.c, yes.c, no.c),
            vbslq_f32(mask.d, yes.d, no.d)};
}
inline M within(int offset, int most) {
    static const int32_t first[4] = {0, 1, 2, 3};
    const uint32x4_t top = vdupq_n_u32(static_cast<uint32_t>(most));
    const auto lanes = [&](int from) {
        return vcleq_u32(vreinterpretq_u32_s32(vaddq_s32(vld1q_s32(first), vdupq_n_s32(offset + from))), top);
    };
    return {lanes(0), lanes(4), lanes(8), lanes(12)};
}

inline float32x4_t scale_by_power(float32x4_t p, float32x4_t shifted) {
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), vshlq_n_s32(vreinterpretq_s32_f32(shifted), 23)));
}
inline V scale_by_power(V p, V shifted) {
    return {scale_by_power(p.a, shifted.a), scale_by_power(p.b, shifted.b), scale_by_power(p.c, shifted.c),
            scale_by_power(p.d, shifted.d)};
}

inline void transpose(const uint32_t* in, int in_stride, uint32_t* out, int out_stride) {
    for (int row = 0; row < 16; row += 4)
        for (int column = 0; column < 16; column += 4) {
            const uint32_t* from = in + row * in_stride + column;
            uint32_t* to = out + column * out_stride + row;
            const uint32x4x2_t low = vtrnq_u32(vld1q_u32(from), vld1q_u32(from + in_stride));
            const uint32x4x2_t high = vtrnq_u32(vld1q_u32(from + 2 * in_stride), vld1q_u32(from + 3 * in_stride));
            for (int i = 0; i < 2; ++i) {
                vst1q_u32(to + i * out_stride, vcombine_u32(vget_low_u32(low.val[i]), vget_low_u32(high.val[i])));
                vst1q_u32(to + (i + 2) * out_stride, vcombine_u32(vget_high_u32(low.val[i]), vget_high_u32(high.val[i])));
            }
        }
}

inline I load_bits(const void* at) {
    const auto* words = static_cast<const int32_t*>(at);
    return {vld1q_s32(words), vld1q_s32(words + 4), vld1q_s32(words + 8), vld1q_s32(words + 12)};
}
inline V as_floats(I x) {
    return {vreinterpretq_f32_s32(x.a), vreinterpretq_f32_s32(x.b), vreinterpretq_f32_s32(x.c), vreinterpretq_f32_s32(x.d)};
}
inline V all_bits(uint32_t x) {
    const float32x4_t four = vreinterpretq_f32_u32(vdupq_n_u32(x));
    return {four, four, four, four};
}
inline V to_floats(I x) {
    return {vcvtq_f32_s32(x.a), vcvtq_f32_s32(x.b), vcvtq_f32_s32(x.c), vcvtq_f32_s32(x.d)};
}

constexpr int INT8_LEVELS = 127;
constexpr int INT8_OFFSET = 0;  // both factors are signed

inline int32x4_t dot_bytes(int32x4_t sum, int8x16_t left, int32x4_t right) {
#ifdef __ARM_FEATURE_DOTPROD
    return vdotq_s32(sum, left, vreinterpretq_s8_s32(right));
#else
    const int8x16_t bytes = vreinterpretq_s8_s32(right);
    const int16x8_t low = vmull_s8(vget_low_s8(left), vget_low_s8(bytes)), high = vmull_high_s8(left, bytes);
    return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
#endif
}
inline I dot_bytes(I sum, uint32_t left, I right) {
    const int8x16_t four = vreinterpretq_s8_u32(vdupq_n_u32(left));
    return {dot_bytes(sum.a, four, right.a), dot_bytes(sum.b, four, right.b), dot_bytes(sum.c, four, right.c),
            dot_bytes(sum.d, four, right.d)};
}

inline void store_bytes(uint8_t* at, V x) {
    const int16x8_t low = vcombine_s16(vmovn_s32(vcvtnq_s32_f32(x.a)), vmovn_s32(vcvtnq_s32_f32(x.b)));
    const int16x8_t high = vcombine_s16(vmovn_s32(vcvtnq_s32_f32(x.c)), vmovn_s32(vcvtnq_s32_f32(x.d)));
    vst1q_s8(reinterpret_cast<int8_t*>(at), vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
}

#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
inline V load_bf16(const uint16_t* at) {
    const auto four = [at](int i) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(at + i), 16)); };
    return {four(0), four(4), four(8), four(12)};
}
inline void store_bf16(uint16_t* at, V x) {
    const auto put = [at](int i, float32x4_t four) { vst1_u16(at + i, vreinterpret_u16_bf16(vcvt_bf16_f32(four))); };
    put(0, x.a), put(4, x.b), put(8, x.c), put(12, x.d);
}
inline V dot_bf16(V sum, uint32_t left, I right) {
    const bfloat16x8_t pair = vreinterpretq_bf16_u32(vdupq_n_u32(left));
    const auto dot = [pair](float32x4_t s, int32x4_t r) { return vbfdotq_f32(s, pair, vreinterpretq_bf16_s32(r)); };
    return {dot(sum.a, right.a), dot(sum.b, right.b), dot(sum.c, right.c), dot(sum.d, right.d)};
}
#define JNLP_BF16 1
#endif

}  // namespace jnlp
