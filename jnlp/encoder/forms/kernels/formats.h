// What the kernels share: scratch memory, an exponential, and the two number formats of attention.

#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#if defined(__AVX512F__)
#include "simd_avx512.h"
#elif defined(__AVX2__)
#include "simd_avx2.h"
#else
#include "simd_neon.h"
#endif

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
inline V exp2(V x) {
    const V magic = all(12582912.0f);  // 1.5 * 2^23: adding it leaves the integer in the low bits
    x = max(x, all(-126.0f));
    const V shifted = add(x, magic);
    const V f = sub(x, sub(shifted, magic));
    V p;
    if constexpr (DEGREE == 3) {
        p = fma(all(0.0551716685f), f, all(0.2426111251f));
        p = fma(p, f, all(0.6932609677f));
        p = fma(p, f, all(0.9999280572f));
    } else {
        static_assert(DEGREE == 5);
        p = fma(all(0.0013276472f), f, all(0.0096755410f));
        p = fma(p, f, all(0.0555071309f));
        p = fma(p, f, all(0.2402212024f));
        p = fma(p, f, all(0.6931469440f));
        p = fma(p, f, all(1.0000001192f));
    }
    return scale_by_power(p, shifted);
}

// Numbers as attention multiplies them: 32-bit lanes, each of PACK neighbours along the axis that is summed over.
struct Fp32 {
    using Element = float;
    static constexpr int PACK = 1;
    static constexpr int DEGREE = 5;

    static V load(const float* at) { return jnlp::load(at); }
    static void store(float* at, V x) { jnlp::store(at, x); }
    // 64 neighbours to their 64 / PACK lanes
    static void pack(const V (&x)[4], uint32_t* out) {
        for (int i = 0; i < 4; ++i) jnlp::store(reinterpret_cast<float*>(out) + 16 * i, x[i]);
    }
    // PACK rows of 64 to one row of 64 lanes
    static void interleave(const float* const (&rows)[1], uint32_t* out) { std::memcpy(out, rows[0], 64 * sizeof(float)); }
    // PACK rows of 16 numbers to one row of 16 lanes
    static void pair(const float* rows, int, uint32_t* out) {
        jnlp::store(reinterpret_cast<float*>(out), jnlp::load(rows));
    }
    static V dot(V sum, uint32_t left, I right) { return fma(all_bits(left), as_floats(right), sum); }
};

#ifdef JNLP_BF16
struct Bf16 {
    using Element = uint16_t;
    static constexpr int PACK = 2;
    static constexpr int DEGREE = 3;

    static V load(const uint16_t* at) { return load_bf16(at); }
    static void store(uint16_t* at, V x) { store_bf16(at, x); }
    static void pack(const V (&x)[4], uint32_t* out) {
        for (int i = 0; i < 4; ++i) store_bf16(reinterpret_cast<uint16_t*>(out) + 16 * i, x[i]);
    }
    static void interleave(const uint16_t* const (&rows)[2], uint32_t* out) {
        for (int d = 0; d < 64; ++d) out[d] = rows[0][d] | static_cast<uint32_t>(rows[1][d]) << 16;
    }
    static void pair(const float* rows, int stride, uint32_t* out) {
        alignas(64) uint16_t even[16], odd[16];
        store_bf16(even, jnlp::load(rows));
        store_bf16(odd, jnlp::load(rows + stride));
        for (int i = 0; i < 16; ++i) out[i] = even[i] | static_cast<uint32_t>(odd[i]) << 16;
    }
    static V dot(V sum, uint32_t left, I right) { return dot_bf16(sum, left, right); }
};
#endif

}  // namespace jnlp
