// Activations and their gradients, on vector registers.
#ifndef SCALING_SEARCH_NATIVE_ACTIVATIONS_H_
#define SCALING_SEARCH_NATIVE_ACTIVATIONS_H_

#include "kernels.h"
#include "lanes.h"

namespace scaling_search {
namespace {

// exp(-x) to about 2e-7 relative: 2^n * 2^f with |f| <= 1/2, and a polynomial for the second factor.
INLINE WideFloat exponential_of_negative(WideFloat x) {
  x = clamp(x, -88.0f, 87.0f);
  // Adding 1.5 * 2^23 rounds to a whole number and leaves it in the low bits.
  const WideFloat shifted = x * -1.44269504f + 12582912.0f;
  const WideFloat n = shifted - 12582912.0f;
  const WideFloat f = (-x - n * 0.693359375f) - n * -2.12194440e-4f;
  WideFloat p = f * 1.38888889e-3f + 8.33333333e-3f;
  p = p * f + 4.16666667e-2f;
  p = p * f + 1.66666667e-1f;
  p = p * f + 0.5f;
  p = p * f + 1.0f;
  p = p * f + 1.0f;
  // The rest of `shifted`'s bits leave at the top.
  return p * bits_of<WideFloat>((bits_of<WideInt>(shifted) << 23) + 0x3f800000);
}

// 1 / x to about 1e-7 relative, for numbers whose reciprocal is one.
INLINE WideFloat reciprocal(WideFloat x) {
#if defined(__AVX512F__)
  // A division takes 16 cycles. By a mask of all, as GCC 12 warns of its own header otherwise.
  const WideFloat guess = _mm512_maskz_rcp14_ps(0xffff, x);
  return guess + guess * (1.0f - x * guess);
#else
  return 1.0f / x;
#endif
}

INLINE WideFloat sigmoid(WideFloat x) { return reciprocal(1.0f + exponential_of_negative(x)); }

template <Activation kActivation>
INLINE WideFloat activate(WideFloat z) {
  switch (kActivation) {
    case Activation::kNone: return z;
    case Activation::kRelu: return z < WideFloat{} ? WideFloat{} : z;
    case Activation::kRelu6: return clamp(z, 0.0f, 6.0f);
    case Activation::kSilu: return z * sigmoid(z);
  }
}

template <Activation kActivation>
INLINE WideFloat activation_gradient(WideFloat z, WideFloat dy) {
  switch (kActivation) {
    case Activation::kNone: return dy;
    case Activation::kRelu: return z > WideFloat{} ? dy : WideFloat{};
    case Activation::kRelu6: {
      dy = z > WideFloat{} ? dy : WideFloat{};
      return z < broadcast(6.0f) ? dy : WideFloat{};
    }
    case Activation::kSilu: {
      const WideFloat s = sigmoid(z);
      return dy * (s * (1.0f + z * (1.0f - s)));
    }
  }
}

// A gradient by the activation's slope: 0 where that is, whatever the gradient.
INLINE WideFloat sloped(WideFloat dy, WideFloat slope) { return slope == WideFloat{} ? WideFloat{} : dy * slope; }

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
