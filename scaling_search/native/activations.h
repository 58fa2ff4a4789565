// Activations and their gradients, on vector registers.
#ifndef SCALING_SEARCH_NATIVE_ACTIVATIONS_H_
#define SCALING_SEARCH_NATIVE_ACTIVATIONS_H_

#include "kernels.h"
#include "lanes.h"

namespace scaling_search {
namespace {

// exp(-x) to about 2e-7 relative: 2^n * 2^f with |f| <= 1/2, and a polynomial for the second factor.
template <class V>
INLINE V exponential_of_negative(V x) {
  using Int = typename Traits<V>::Int;
  x = clamp(x, -88.0f, 87.0f);
  // Adding 1.5 * 2^23 rounds to a whole number and leaves it in the low bits.
  const V shifted = x * -1.44269504f + 12582912.0f;
  const V n = shifted - 12582912.0f;
  const V f = (-x - n * 0.693359375f) - n * -2.12194440e-4f;
  V p = f * 1.38888889e-3f + 8.33333333e-3f;
  p = p * f + 4.16666667e-2f;
  p = p * f + 1.66666667e-1f;
  p = p * f + 0.5f;
  p = p * f + 1.0f;
  p = p * f + 1.0f;
  Int bits;
  memcpy(&bits, &shifted, sizeof(bits));
  bits = (bits << 23) + 0x3f800000;  // The rest of `shifted`'s bits leave at the top.
  V power;
  memcpy(&power, &bits, sizeof(power));
  return p * power;
}

template <class V>
INLINE V sigmoid(V x) {
  return 1.0f / (1.0f + exponential_of_negative<V>(x));
}

template <class V, Activation kActivation>
INLINE V activate(V z) {
  switch (kActivation) {
    case Activation::kNone: return z;
    case Activation::kRelu: return z < V{} ? V{} : z;
    case Activation::kRelu6: return clamp(z, 0.0f, 6.0f);
    case Activation::kSilu: return z * sigmoid<V>(z);
  }
}

template <class V, Activation kActivation>
INLINE V activation_gradient(V z, V dy) {
  switch (kActivation) {
    case Activation::kNone: return dy;
    case Activation::kRelu: return z > V{} ? dy : V{};
    case Activation::kRelu6: {
      dy = z > V{} ? dy : V{};
      return z < broadcast<V>(6.0f) ? dy : V{};
    }
    case Activation::kSilu: {
      const V s = sigmoid<V>(z);
      return dy * (s * (1.0f + z * (1.0f - s)));
    }
  }
}

// Calls body with the activation as a compile-time constant.
template <class Body>
INLINE void with_activation(Activation activation, const Body& body) {
  switch (activation) {
    case Activation::kNone: return body.template run<Activation::kNone>();
    case Activation::kRelu: return body.template run<Activation::kRelu>();
    case Activation::kRelu6: return body.template run<Activation::kRelu6>();
    case Activation::kSilu: return body.template run<Activation::kSilu>();
  }
}

}  // namespace
}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_ACTIVATIONS_H_
