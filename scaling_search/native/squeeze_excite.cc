// Squeeze-and-excitation of one image, compiled once for each instruction set (see squeeze_excite.h and setup.py).
#include "squeeze_excite.h"

#include "activations.h"
#include "lanes.h"

namespace scaling_search {
namespace {

float dot(int64_t count, const float* a, const float* b) {
  WideFloat wide = {};
  int64_t n = 0;
  for (; n + kLanes <= count; n += kLanes) wide += load<WideFloat>(a + n) * load<WideFloat>(b + n);
  float sum = 0;
  for (; n < count; ++n) sum += a[n] * b[n];
  for (int lane = 0; lane < kLanes; ++lane) sum += wide[lane];
  return sum;
}

struct Hidden {
  const Gate& g;
  const float* hidden;
  const float* dactive;
  float* out;

  template <Activation kActivation>
  void run() const {
    for (int64_t s = 0; s < g.squeezed; ++s) {
      out[s] = dactive ? activation_gradient<float, kActivation>(hidden[s], dactive[s])
                       : activate<float, kActivation>(hidden[s]);
    }
  }
};

void forward(const Gate& g, const float* x, const float* squeeze, const float* squeeze_bias,
                    const float* excite, const float* excite_bias, float* y, float* mean, float* hidden, float* gate,
                    float* active) {
  const float share = 1.0f / static_cast<float>(g.pixels);
  memset(mean, 0, g.channels * sizeof(float));
  add_rows<1>(0, g.pixels, g.channels, mean,
              [&](auto zero, int64_t p, int64_t c, auto& values) __attribute__((always_inline)) {
                values[0] = load<decltype(zero)>(x + p * g.channels + c) * share;
              });
  for (int64_t s = 0; s < g.squeezed; ++s) {
    hidden[s] = squeeze_bias[s] + dot(g.channels, mean, squeeze + s * g.channels);
  }
  with_activation(g.activation, Hidden{g, hidden, nullptr, active});
  for_blocks(g.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
    using V = decltype(zero);
    V sum = load<V>(excite_bias + c);
    for (int64_t s = 0; s < g.squeezed; ++s) sum += load<V>(excite + s * g.channels + c) * active[s];
    store<V>(gate + c, sigmoid<V>(sum));
  });
  for (int64_t p = 0; p < g.pixels; ++p) {
    for_blocks(g.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
      using V = decltype(zero);
      store<V>(y + p * g.channels + c, load<V>(x + p * g.channels + c) * load<V>(gate + c));
    });
  }
}

void dx(const Gate& g, const float* x, const float* dy, const float* hidden, const float* gate,
                       const float* squeeze, const float* excite, float* dx, float* active, float* dhidden,
                       float* dgate, float* dmean) {
  memset(dgate, 0, g.channels * sizeof(float));
  add_rows<1>(0, g.pixels, g.channels, dgate,
              [&](auto zero, int64_t p, int64_t c, auto& values) __attribute__((always_inline)) {
                const int64_t at = p * g.channels + c;
                values[0] = load<decltype(zero)>(dy + at) * load<decltype(zero)>(x + at);
              });
  for (int64_t c = 0; c < g.channels; ++c) dgate[c] = dgate[c] * gate[c] * (1.0f - gate[c]);
  for (int64_t s = 0; s < g.squeezed; ++s) active[s] = dot(g.channels, dgate, excite + s * g.channels);
  with_activation(g.activation, Hidden{g, hidden, active, dhidden});
  with_activation(g.activation, Hidden{g, hidden, nullptr, active});
  kernels().weighted_sum(g.squeezed, g.channels, dhidden, 1, squeeze, dmean);
  const float share = 1.0f / static_cast<float>(g.pixels);
  for (int64_t p = 0; p < g.pixels; ++p) {
    for_blocks(g.channels, [&](auto zero, int64_t c) __attribute__((always_inline)) {
      using V = decltype(zero);
      const int64_t at = p * g.channels + c;
      store<V>(dx + at, load<V>(dy + at) * load<V>(gate + c) + load<V>(dmean + c) * share);
    });
  }
}

}  // namespace

const SqueezeExciteKernels SCALING_SEARCH_TABLE(SqueezeExciteKernels) = {forward, dx};

}  // namespace scaling_search
