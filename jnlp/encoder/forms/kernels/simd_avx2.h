// Sixteen 32-bit lanes in two registers of AVX2; the names are those of simd_avx512.h.

#pragma once

#include <immintrin.h>

#include <cstdint>

namespace jnlp {

constexpr int SCORE_KEYS = 4;
constexpr int SCORE_VECTORS = 1;
constexpr int TILE = 6;
constexpr int PANEL_VECTORS = 1;

struct V {
    __m256 a, b;
};
using M = V;  // all bits of a chosen lane are set
struct I {
    __m256i a, b;
};

inline V zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline V all(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline V load(const float* at) { return {_mm256_loadu_ps(at), _mm256_loadu_ps(at + 8)}; }
inline void store(float* at, V x) {
    _mm256_storeu_ps(at, x.a);
    _mm256_storeu_ps(at + 8, x.b);
}
inline V add(V a, V b) { return {_mm256_add_ps(a.a, b.a), _mm256_add_ps(a.b, b.b)}; }
inline V sub(V a, V b) { return {_mm256_sub_ps(a.a, b.a), _mm256_sub_ps(a.b, b.b)}; }
inline V mul(V a, V b) { return {_mm256_mul_ps(a.a, b.a), _mm256_mul_ps(a.b, b.b)}; }
inline V div(V a, V b) { return {_mm256_div_ps(a.a, b.a), _mm256_div_ps(a.b, b.b)}; }
inline V fma(V a, V b, V c) { return {_mm256_fmadd_ps(a.a, b.a, c.a), _mm256_fmadd_ps(a.b, b.b, c.b)}; }
inline V fnma(V a, V b, V c) { return {_mm256_fnmadd_ps(a.a, b.a, c.a), _mm256_fnmadd_ps(a.b, b.b, c.b)}; }
inline V fms(V a, V b, V c) { return {_mm256_fmsub_ps(a.a, b.a, c.a), _mm256_fmsub_ps(a.b, b.b, c.b)}; }
inline V max(V a, V b) { return {_mm256_max_ps(a.a, b.a), _mm256_max_ps(a.b, b.b)}; }
inline V min(V a, V b) { return {_mm256_min_ps(a.a, b.a), _mm256_min_ps(a.b, b.b)}; }
inline V abs(V x) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
inline float largest(V x) {
    const __m256 y = _mm256_max_ps(x.a, x.b);
    __m128 z = _mm_max_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
    z = _mm_max_ps(z, _mm_movehl_ps(z, z));
    return _mm_cvtss_f32(_mm_max_ss(z, _mm_shuffle_ps(z, z, 1)));
}
inline float total(V x) {
    const __m256 y = _mm256_add_ps(x.a, x.b);
    __m128 z = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
    z = _mm_add_ps(z, _mm_movehl_ps(z, z));
    return _mm_cvtss_f32(_mm_add_ss(z, _mm_shuffle_ps(z, z, 1)));
}

inline M above(V a, V b) { return {_mm256_cmp_ps(a.a, b.a, _CMP_GT_OQ), _mm256_cmp_ps(a.b, b.b, _CMP_GT_OQ)}; }
inline V choose(M mask, V yes, V no) {
    return {_mm256_blendv_ps(no.a, yes.a, mask.a), _mm256_blendv_ps(no.b, yes.b, mask.b)};
}
inline M within(int offset, int most) {
    const __m256i top = _mm256_set1_epi32(most);
    const __m256i a = _mm256_add_epi32(_mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0), _mm256_set1_epi32(offset));
    const __m256i b = _mm256_add_epi32(_mm256_set_epi32(15, 14, 13, 12, 11, 10, 9, 8), _mm256_set1_epi32(offset));
    return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_max_epu32(a, top), top)),
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_max_epu32(b, top), top))};
}

inline __m256 scale_by_power(__m256 p, __m256 shifted) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), exponent));
}
inline V scale_by_power(V p, V shifted) { return {scale_by_power(p.a, shifted.a), scale_by_power(p.b, shifted.b)}; }

inline void transpose(const uint32_t* in, int in_stride, uint32_t* out, int out_stride) {
    for (int row = 0; row < 16; row += 8)
        for (int column = 0; column < 16; column += 8) {
            __m256 r[8], t[8];
            for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(reinterpret_cast<const float*>(in) + (row + i) * in_stride + column);
            for (int i = 0; i < 8; i += 2) {
                t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
                t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
            }
            for (int i = 0; i < 8; i += 4) {
                r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
                r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
                r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
                r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
            }
            for (int i = 0; i < 4; ++i) {
                float* at = reinterpret_cast<float*>(out) + (column + i) * out_stride + row;
                _mm256_storeu_ps(at, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
                _mm256_storeu_ps(at + 4 * out_stride, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
            }
        }
}

inline I load_bits(const void* at) {
    const auto* words = static_cast<const __m256i*>(at);
    return {_mm256_loadu_si256(words), _mm256_loadu_si256(words + 1)};
}
inline V as_floats(I x) { return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)}; }
inline V all_bits(uint32_t x) {
    const __m256 both = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(x)));
    return {both, both};
}
inline V to_floats(I x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }

#ifdef __AVXVNNI__
constexpr int INT8_LEVELS = 127;
constexpr int INT8_OFFSET = 128;

inline I dot_bytes(I sum, uint32_t left, I right) {
    const __m256i four = _mm256_set1_epi32(static_cast<int>(left));
    return {_mm256_dpbusd_avx_epi32(sum.a, four, right.a), _mm256_dpbusd_avx_epi32(sum.b, four, right.b)};
}
#else
constexpr int INT8_LEVELS = 63;  // two products of such a number and a byte fit 16 bits
constexpr int INT8_OFFSET = 64;

inline I dot_bytes(I sum, uint32_t left, I right) {
    const __m256i four = _mm256_set1_epi32(static_cast<int>(left)), one = _mm256_set1_epi16(1);
    return {_mm256_add_epi32(sum.a, _mm256_madd_epi16(_mm256_maddubs_epi16(four, right.a), one)),
            _mm256_add_epi32(sum.b, _mm256_madd_epi16(_mm256_maddubs_epi16(four, right.b), one))};
}
#endif

inline void store_bytes(uint8_t* at, V x) {
    const __m256i offset = _mm256_set1_epi32(INT8_OFFSET);
    const __m256i a = _mm256_add_epi32(_mm256_cvtps_epi32(x.a), offset);
    const __m256i b = _mm256_add_epi32(_mm256_cvtps_epi32(x.b), offset);
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
    const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(at), bytes);
}

}  // namespace jnlp
