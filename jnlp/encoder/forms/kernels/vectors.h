// What the kernels share: an exponential, a transposition, and the two number formats of attention.

#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace jnlp {

inline int round_up(int n, int step) { return (n + step - 1) / step * step; }

// Memory of a thread, kept between calls: the kernel's pages are not faulted in again by every layer.
class Scratch {
   public:
    // Return room for `bytes`, aligned to a cache line; nullptr where memory runs out.
    void* room(size_t bytes) {
        if (bytes > size_) {
            size_ = (bytes + bytes / 4 + 4095) / 4096 * 4096;
            memory_.reset(std::aligned_alloc(4096, size_));
            if (!memory_) size_ = 0;
        }
        return memory_.get();
    }

   private:
    struct Free {
        void operator()(void* memory) const { std::free(memory); }
    };
    std::unique_ptr<void, Free> memory_;
    size_t size_ = 0;
};

// 2^x for x <= 0 (smaller than 2^-126 becomes that): a polynomial of 2^f on [-1/2, 1/2], the exponent added as bits.
// Largest relative error 7.5e-5 for DEGREE 3 (bf16 rounds by 2e-3), 7.5e-8 for DEGREE 5.
template <int DEGREE>
inline __m512 exp2(__m512 x) {
    const __m512 magic = _mm512_set1_ps(12582912.0f);  // 1.5 * 2^23: adding it leaves the integer in the low bits
    x = _mm512_max_ps(x, _mm512_set1_ps(-126.0f));
    const __m512 shifted = _mm512_add_ps(x, magic);
    const __m512 f = _mm512_sub_ps(x, _mm512_sub_ps(shifted, magic));
    __m512 p;
    if constexpr (DEGREE == 3) {
        p = _mm512_fmadd_ps(_mm512_set1_ps(0.0551716685f), f, _mm512_set1_ps(0.2426111251f));
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.6932609677f));
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.9999280572f));
    } else {
        static_assert(DEGREE == 5);
        p = _mm512_fmadd_ps(_mm512_set1_ps(0.0013276472f), f, _mm512_set1_ps(0.0096755410f));
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.0555071309f));
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.2402212024f));
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.6931469440f));
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0000001192f));
    }
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), exponent));
}

// A 16 x 16 matrix of 32-bit lanes, in place.
inline void transpose(__m512i (&r)[16]) {
    __m512i t[16];
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
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    }
}

// Numbers as attention multiplies them: 32-bit lanes, each of PACK neighbours along the axis that is summed over.
struct Fp32 {
    using Element = float;
    static constexpr int PACK = 1;
    static constexpr int DEGREE = 5;

    static __m512 load(const float* at) { return _mm512_loadu_ps(at); }
    static void store(float* at, __m512 x) { _mm512_storeu_ps(at, x); }
    // 64 neighbours to their 64 / PACK lanes
    static void pack(const __m512 (&x)[4], uint32_t* out) {
        for (int i = 0; i < 4; ++i) _mm512_storeu_ps(reinterpret_cast<float*>(out) + 16 * i, x[i]);
    }
    // PACK rows of 64 to one row of 64 lanes
    static void interleave(const float* const (&rows)[1], uint32_t* out) { std::memcpy(out, rows[0], 64 * sizeof(float)); }
    // PACK rows of 16 numbers to one row of 16 lanes
    static void pair(const float* rows, int, uint32_t* out) {
        _mm512_storeu_ps(reinterpret_cast<float*>(out), _mm512_loadu_ps(rows));
    }
    static __m512 dot(__m512 sum, uint32_t left, __m512i right) {
        return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(left))), _mm512_castsi512_ps(right),
                               sum);
    }
};

#ifdef __AVX512BF16__
struct Bf16 {
    using Element = uint16_t;
    static constexpr int PACK = 2;
    static constexpr int DEGREE = 3;

    static __m512 load(const uint16_t* at) {
        const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
    }
    static void store(uint16_t* at, __m512 x) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), (__m256i)_mm512_cvtneps_pbh(x));
    }
    static void pack(const __m512 (&x)[4], uint32_t* out) {
        _mm512_storeu_si512(out, (__m512i)_mm512_cvtne2ps_pbh(x[1], x[0]));
        _mm512_storeu_si512(out + 16, (__m512i)_mm512_cvtne2ps_pbh(x[3], x[2]));
    }
    static void interleave(const uint16_t* const (&rows)[2], uint32_t* out) {
        for (int d = 0; d < 64; d += 16) {
            const __m512i even = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[0] + d)));
            const __m512i odd = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[1] + d)));
            _mm512_storeu_si512(out + d, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
        }
    }
    static void pair(const float* rows, int stride, uint32_t* out) {
        const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(rows + stride), _mm512_loadu_ps(rows));
        const __m256i even = _mm512_castsi512_si256(both), odd = _mm512_extracti64x4_epi64(both, 1);
        const __m512i high = _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16);
        _mm512_storeu_si512(out, _mm512_or_si512(_mm512_cvtepu16_epi32(even), high));
    }
    static __m512 dot(__m512 sum, uint32_t left, __m512i right) {
        return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(static_cast<int>(left)), (__m512bh)right);
    }
};
#endif

}  // namespace jnlp
