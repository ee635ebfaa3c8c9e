// Sixteen 32-bit lanes in one register of AVX-512. The same names stand in simd_avx2.h and simd_neon.h.

#pragma once

#include <immintrin.h>

#include <cstdint>

namespace jnlp {

constexpr int SCORE_KEYS = 8;     // keys of a register tile of scores
constexpr int SCORE_VECTORS = 3;  // vectors of queries of that tile
constexpr int TILE = 6;           // tokens of a register tile of products
constexpr int PANEL_VECTORS = 4;  // vectors of outputs of that tile

using V = __m512;   // floats
using M = __mmask16;  // a choice for each lane

inline V zero() { return _mm512_setzero_ps(); }
inline V all(float x) { return _mm512_set1_ps(x); }
inline V load(const float* at) { return _mm512_loadu_ps(at); }
inline void store(float* at, V x) { _mm512_storeu_ps(at, x); }
inline V add(V a, V b) { return _mm512_add_ps(a, b); }
inline V sub(V a, V b) { return _mm512_sub_ps(a, b); }
inline V mul(V a, V b) { return _mm512_mul_ps(a, b); }
inline V div(V a, V b) { return _mm512_div_ps(a, b); }
inline V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }    // a b + c
inline V fnma(V a, V b, V c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
inline V fms(V a, V b, V c) { return _mm512_fmsub_ps(a, b, c); }    // a b - c
inline V max(V a, V b) { return _mm512_max_ps(a, b); }
inline V min(V a, V b) { return _mm512_min_ps(a, b); }
inline V abs(V a) { return _mm512_abs_ps(a); }
inline float largest(V a) { return _mm512_reduce_max_ps(a); }
inline float total(V a) { return _mm512_reduce_add_ps(a); }

inline M above(V a, V b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
inline V choose(M mask, V yes, V no) { return _mm512_mask_mov_ps(no, mask, yes); }

// Lanes i of [0, 16) with 0 <= i + offset <= most.
inline M within(int offset, int most) {
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_cmple_epu32_mask(_mm512_add_epi32(lanes, _mm512_set1_epi32(offset)), _mm512_set1_epi32(most));
}

// p 2^n, where `shifted` is n + 1.5 * 2^23.
inline V scale_by_power(V p, V shifted) {
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), exponent));
}

// A 16 x 16 matrix of 32-bit numbers: rows `in_stride` apart to columns `out_stride` apart.
inline void transpose(const uint32_t* in, int in_stride, uint32_t* out, int out_stride) {
    __m512i r[16], t[16];
    for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(in + i * in_stride);
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 8; ++i) {
        _mm512_storeu_si512(out + i * out_stride, _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88));
        _mm512_storeu_si512(out + (i + 8) * out_stride, _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd));
    }
}

// Lanes of bits, and the products of int8 in them.
using I = __v16si;  // not __m512i, which GCC 12 would keep in memory
inline I load_bits(const void* at) { return (I)_mm512_loadu_si512(at); }
inline V as_floats(I x) { return _mm512_castsi512_ps((__m512i)x); }
inline V all_bits(uint32_t x) { return _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(x))); }
inline V to_floats(I x) { return _mm512_cvtepi32_ps((__m512i)x); }

#ifdef __AVX512VNNI__
constexpr int INT8_LEVELS = 127;  // an activation is one of -127 ... 127,
constexpr int INT8_OFFSET = 128;  // stored with this added to it

// sum += four unsigned bytes of `left` times four signed ones of each lane of `right`
inline I dot_bytes(I sum, uint32_t left, I right) {
    return (I)_mm512_dpbusd_epi32((__m512i)sum, _mm512_set1_epi32(static_cast<int>(left)), (__m512i)right);
}
#else
constexpr int INT8_LEVELS = 63;  // two products of such a number and a byte fit 16 bits
constexpr int INT8_OFFSET = 64;

inline I dot_bytes(I sum, uint32_t left, I right) {
    const __m512i pairs = _mm512_maddubs_epi16(_mm512_set1_epi32(static_cast<int>(left)), (__m512i)right);
    return (I)_mm512_add_epi32((__m512i)sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
#endif

// Rounded, with INT8_OFFSET added, as 16 bytes.
inline void store_bytes(uint8_t* at, V x) {
    const __m512i q = _mm512_add_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(INT8_OFFSET));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(at), _mm512_cvtepi32_epi8(q));
}

#ifdef __AVX512BF16__
inline V load_bf16(const uint16_t* at) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
inline void store_bf16(uint16_t* at, V x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), (__m256i)_mm512_cvtneps_pbh(x));
}
inline V dot_bf16(V sum, uint32_t left, I right) {
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(static_cast<int>(left)), (__m512bh)right);
}
#define JNLP_BF16 1
#endif

}  // namespace jnlp
