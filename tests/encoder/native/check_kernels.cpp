// Compares the kernels with their definitions in double precision, on whatever processor this is compiled for. Prints the
// largest relative errors; the exit status is 1 if one is too large.

#include "kernels.cpp"

#include <cstdio>
#include <vector>

namespace {

uint32_t state = 1;
float random_number() {  // uniform on [-1, 1)
    state = state * 1664525u + 1013904223u;
    return static_cast<int32_t>(state) / 2147483648.0f;
}
std::vector<float> random_numbers(size_t n) {
    std::vector<float> found(n);
    for (float& x : found) x = random_number();
    return found;
}

double error(const std::vector<double>& wanted, const std::vector<float>& found) {
    double apart = 0, whole = 0;
    for (size_t i = 0; i < wanted.size(); ++i) {
        apart += (wanted[i] - found[i]) * (wanted[i] - found[i]);
        whole += wanted[i] * wanted[i];
    }
    return std::sqrt(apart / whole);
}

uint16_t to_bf16(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof(bits));
    return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
float of_bf16(uint16_t x) {
    const uint32_t bits = static_cast<uint32_t>(x) << 16;
    float found;
    std::memcpy(&found, &bits, sizeof(found));
    return found;
}

// Attention of sequences of these lengths, with rotation.
double attention_error(const std::vector<int>& lengths, int heads, int window, bool bf16) {
    std::vector<int32_t> cu{0};
    for (int n : lengths) cu.push_back(cu.back() + n);
    const int tokens = cu.back(), row = 3 * heads * 64, longest = *std::max_element(lengths.begin(), lengths.end());
    std::vector<float> qkv = random_numbers(static_cast<size_t>(tokens) * row);
    if (bf16)
        for (float& x : qkv) x = of_bf16(to_bf16(x));
    std::vector<float> cos(longest * 32), sin(longest * 32), out(static_cast<size_t>(tokens) * heads * 64);
    for (int p = 0; p < longest; ++p)
        for (int i = 0; i < 32; ++i) {
            const double angle = p * std::pow(10000.0, -i / 32.0);
            cos[p * 32 + i] = static_cast<float>(std::cos(angle));
            sin[p * 32 + i] = static_cast<float>(std::sin(angle));
        }
    const auto sequences = static_cast<int64_t>(lengths.size());
    if (!bf16)
        jnlp_attention_fp32(qkv.data(), qkv.data() + heads * 64, qkv.data() + 2 * heads * 64, row, cos.data(), sin.data(),
                            out.data(), cu.data(), sequences, heads, window, 2);
#ifdef JNLP_BF16
    if (bf16) {
        std::vector<uint16_t> in, answer(out.size());
        for (float x : qkv) in.push_back(to_bf16(x));
        jnlp_attention_bf16(in.data(), in.data() + heads * 64, in.data() + 2 * heads * 64, row, cos.data(), sin.data(),
                            answer.data(), cu.data(), sequences, heads, window, 2);
        std::transform(answer.begin(), answer.end(), out.begin(), of_bf16);
    }
#endif
    std::vector<double> wanted(out.size());
    for (size_t s = 0; s < lengths.size(); ++s)
        for (int h = 0; h < heads; ++h) {
            const auto turned = [&](int token, int part) {
                const float* x = qkv.data() + static_cast<size_t>(cu[s] + token) * row + part * heads * 64 + h * 64;
                std::vector<double> y(64);
                for (int i = 0; i < 32; ++i) {
                    const double c = cos[token * 32 + i], d = sin[token * 32 + i];
                    y[i] = x[i] * c - x[i + 32] * d;
                    y[i + 32] = x[i + 32] * c + x[i] * d;
                }
                return y;
            };
            for (int i = 0; i < lengths[s]; ++i) {
                const std::vector<double> q = turned(i, 0);
                std::vector<double> sums(64);
                double total = 0;
                for (int j = 0; j < lengths[s]; ++j) {
                    if (window >= 0 && std::abs(i - j) > window) continue;
                    const std::vector<double> k = turned(j, 1);
                    double score = 0;
                    for (int d = 0; d < 64; ++d) score += q[d] * k[d];
                    const double weight = std::exp(score / 8);
                    total += weight;
                    const float* v = qkv.data() + static_cast<size_t>(cu[s] + j) * row + 2 * heads * 64 + h * 64;
                    for (int d = 0; d < 64; ++d) sums[d] += weight * v[d];
                }
                for (int d = 0; d < 64; ++d) wanted[(static_cast<size_t>(cu[s] + i) * heads + h) * 64 + d] = sums[d] / total;
            }
        }
    return error(wanted, out);
}

// A linear layer without weights of its own format: the matrix, and its panels.
struct Matrix {
    int outputs, inputs;
    std::vector<float> values;
    std::vector<uint32_t> panels;
    std::vector<int32_t> sums;
    std::vector<float> scale;

    Matrix(int outputs, int inputs, bool int8, bool gated) : outputs(outputs), inputs(inputs) {
        values = random_numbers(static_cast<size_t>(outputs) * inputs);
        const int depth = int8 ? 4 : 1;
        panels.resize(static_cast<size_t>(outputs) * inputs / depth);
        sums.resize(outputs);
        scale.assign(outputs, 1.0f);
        for (int n = 0; n < outputs; ++n) {
            const int half = outputs / 2;
            const int from = !gated ? n : n % 64 < 32 ? n / 64 * 32 + n % 64 : half + n / 64 * 32 + n % 64 - 32;
            float* row = values.data() + static_cast<size_t>(from) * inputs;
            float top = 0;
            for (int i = 0; i < inputs; ++i) top = std::max(top, std::abs(row[i]));
            if (int8) scale[n] = top / 127;
            for (int i = 0; i < inputs; ++i) {
                uint32_t* lane = panels.data() + ((static_cast<size_t>(n / 64) * (inputs / depth) + i / depth) * 64 + n % 64);
                if (int8) {
                    const int q = static_cast<int>(std::lrint(row[i] / scale[n]));
                    row[i] = q * scale[n];
                    reinterpret_cast<int8_t*>(lane)[i % 4] = static_cast<int8_t>(q);
                    sums[n] -= jnlp_int8_offset() * q;
                } else {
                    std::memcpy(lane, row + i, sizeof(float));
                }
            }
        }
    }
    jnlp::Linear linear() const { return {panels.data(), sums.data(), scale.data(), inputs, outputs}; }
    std::vector<double> times(const std::vector<double>& x) const {
        std::vector<double> y(outputs);
        for (int n = 0; n < outputs; ++n)
            for (int i = 0; i < inputs; ++i) y[n] += values[static_cast<size_t>(n) * inputs + i] * x[i];
        return y;
    }
};

std::vector<double> normed(const std::vector<double>& x, const std::vector<float>& weight) {
    double mean = 0, variance = 0;
    for (double v : x) mean += v / x.size();
    for (double v : x) variance += (v - mean) * (v - mean) / x.size();
    std::vector<double> y(x.size());
    for (size_t i = 0; i < x.size(); ++i) y[i] = (x[i] - mean) / std::sqrt(variance + 1e-5) * weight[i];
    return y;
}

// The residual stream and the projection after a whole step.
double step_error(int tokens, int d, int inner, bool int8) {
    const Matrix out(d, d, int8, false), up(2 * inner, d, int8, true), down(d, inner, int8, false), qkv(3 * d, d, int8, false);
    const std::vector<float> mlp_norm = random_numbers(d), attn_norm = random_numbers(d), attended = random_numbers(tokens * d);
    std::vector<float> x = random_numbers(tokens * d), projected(tokens * 3 * d);
    const std::vector<float> start = x;
    const jnlp::Layer layer{out.linear(), mlp_norm.data(), up.linear(), down.linear(), attn_norm.data(), qkv.linear(), 1e-5f};
    (int8 ? jnlp_layer_step_int8 : jnlp_layer_step_fp32)(&layer, attended.data(), x.data(), projected.data(), tokens, d, 2);
    std::vector<double> wanted;
    for (int t = 0; t < tokens; ++t) {
        std::vector<double> row(start.begin() + t * d, start.begin() + (t + 1) * d);
        const auto accumulate = [&row](const std::vector<double>& y) {
            for (size_t i = 0; i < row.size(); ++i) row[i] += y[i];
        };
        accumulate(out.times({attended.begin() + t * d, attended.begin() + (t + 1) * d}));
        const std::vector<double> both = up.times(normed(row, mlp_norm));
        std::vector<double> gated(inner);
        for (int i = 0; i < inner; ++i) gated[i] = both[i] * 0.5 * std::erfc(-both[i] / std::sqrt(2.0)) * both[inner + i];
        accumulate(down.times(gated));
        for (double y : qkv.times(normed(row, attn_norm))) wanted.push_back(y);
    }
    return error(wanted, projected);
}

}  // namespace

int main() {
    bool fine = true;
    const auto report = [&fine](const char* what, double found, double allowed) {
        std::printf("%s %.2e (at most %.0e)\n", what, found, allowed);
        fine = fine && found <= allowed;
    };
    report("attention, global", attention_error({1, 40, 130}, 2, -1, false), 5e-6);
    report("attention, window 8", attention_error({15, 16, 17, 200}, 1, 8, false), 5e-6);
#ifdef JNLP_BF16
    report("attention in bf16", attention_error({15, 16, 17, 200}, 2, 8, true), 1e-2);
#endif
    report("step in fp32", step_error(61, 128, 192, false), 5e-6);
    report("step in int8", step_error(61, 128, 192, true), jnlp_int8_offset() == 64 ? 5e-2 : 2.5e-2);
    return fine ? 0 : 1;
}
