// What XLA calls for squeeze-and-excitation, alone and with the batch norm before it; then images are float32 or, with
// "half_" before the name, bfloat16.
//
// As in ffi.cc, a result is the same to the last bit however many threads there are.
#include <type_traits>
#include <utility>
#include <vector>

#include "batch_norm_calls.h"
#include "squeeze_excite_calls.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

ffi::Error squeeze_excite_call(ffi::ThreadPool threads, Array x, Array squeeze, Array squeeze_bias, Array excite,
                               Array excite_bias, Result y, Result mean, Result hidden, Result gate,
                               Activation activation) {
  ShapeCheck check("squeeze-excite");
  const SqueezeExcite s = squeeze_excite_of(check, shape_of(x), squeeze, excite, activation);
  Gated<Result> out{y, mean, hidden, gate};
  check.expect("squeeze_bias", squeeze_bias, {s.gate.squeezed}).expect("excite_bias", excite_bias, {s.gate.channels});
  out.check(check, s, shape_of(x));
  if (check.failed()) return check.error();

  apply_gate(threads, s, squeeze, squeeze_bias, excite, excite_bias, out,
             [&](int64_t begin, int64_t end, float* mean) {
               const float* const in = x.typed_data() + begin * s.size();
               squeeze_excite_kernels<float>().squeeze(s.gate, end - begin, in, mean);
               return in;
             });
  return ffi::Error::Success();
}

ffi::Error squeeze_excite_gradient_call(ffi::ThreadPool threads, Array x, Array squeeze, Array excite, Array mean,
                                        Array hidden, Array gate, Array dy, Result dx, Result dsqueeze,
                                        Result dsqueeze_bias, Result dexcite, Result dexcite_bias,
                                        Activation activation) {
  ShapeCheck check("gradient of squeeze-excite");
  const SqueezeExcite s = squeeze_excite_of(check, shape_of(x), squeeze, excite, activation);
  const Kept kept{squeeze, excite, mean, hidden, gate};
  LayerGradients layers{dsqueeze, dsqueeze_bias, dexcite, dexcite_bias};
  kept.check(check, s);
  layers.check(check, s, kept);
  check.expect("dy", dy, shape_of(x)).expect("dx", dx, shape_of(x));
  if (check.failed()) return check.error();

  const auto& run = squeeze_excite_kernels<float>();
  gate_gradient<float>(
      threads, s, kept, layers,
      [&](int64_t begin, int64_t end, const float* open, float* dgate) {
        const int64_t at = begin * s.size();
        run.dgate(s.gate, end - begin, x.typed_data() + at, dy.typed_data() + at, open, dgate);
      },
      [&](int64_t begin, int64_t end, const float* open, const float* dpixel) {
        const int64_t at = begin * s.size();
        run.dx(s.gate, end - begin, dy.typed_data() + at, open, dpixel, dx->typed_data() + at);
      });
  return ffi::Error::Success();
}

// Room for images in floats or for the activation's slopes there, kept for the next share.
float* scratch(int64_t size) {
  static thread_local std::vector<float> room;
  if (static_cast<int64_t>(room.size()) < size) room.resize(size);
  return room.data();
}

template <ffi::DataType kType>
ffi::Error norm_squeeze_excite_call(ffi::ThreadPool threads, ffi::Buffer<kType> x, Array scale, Array bias,
                                    Array squeeze, Array squeeze_bias, Array excite, Array excite_bias,
                                    ffi::ResultBuffer<kType> y, Result mean, Result variance, Result pooled,
                                    Result hidden, Result gate, float epsilon, Activation activation,
                                    Activation inner) {
  ShapeCheck check("batch norm and squeeze-excite");
  const Matrix m = matrix_of(check, x, activation);
  const SqueezeExcite s = squeeze_excite_of(check, shape_of(x), squeeze, excite, inner);
  Gated<ffi::ResultBuffer<kType>> out{y, pooled, hidden, gate};
  expect_norm(check, m, scale, bias, mean, variance);
  check.expect("squeeze_bias", squeeze_bias, {s.gate.squeezed}).expect("excite_bias", excite_bias, {s.gate.channels});
  out.check(check, s, shape_of(x));
  if (check.failed()) return check.error();

  using T = std::remove_pointer_t<decltype(numbers(y))>;
  find_statistics(threads, m, numbers(x), mean->typed_data(), variance->typed_data());
  const Affine affine = affine_of(m, scale, bias, mean->typed_data(), variance->typed_data(), epsilon);
  const Normed norm{activation, m.line, affine.factor.data(), affine.offset.data()};
  apply_gate(threads, s, squeeze, squeeze_bias, excite, excite_bias, out, [&](int64_t begin, int64_t end, float* to) {
    float* active = nullptr;
    // In y itself, as long as no part of a register is written there, which could not be loaded again at once.
    if constexpr (std::is_same_v<T, float>) {
      if (m.channels % kMostLanes == 0) active = y->typed_data() + begin * s.size();
    }
    if (!active) active = scratch((end - begin) * s.size());
    squeeze_excite_kernels<T>().squeeze_normed(s.gate, norm, end - begin, numbers(x) + begin * s.size(), active, to);
    return active;
  });
  return ffi::Error::Success();
}

template <ffi::DataType kType>
ffi::Error norm_squeeze_excite_gradient_call(ffi::ThreadPool threads, ffi::Buffer<kType> x, Array scale, Array bias,
                                             Array mean, Array variance, Array squeeze, Array excite, Array pooled,
                                             Array hidden, Array gate, ffi::Buffer<kType> dy,
                                             ffi::ResultBuffer<kType> dx, Result dscale, Result dbias, Result dsqueeze,
                                             Result dsqueeze_bias, Result dexcite, Result dexcite_bias, float epsilon,
                                             Activation activation, Activation inner) {
  ShapeCheck check("gradient of batch norm and squeeze-excite");
  const Matrix m = matrix_of(check, x, activation);
  const SqueezeExcite s = squeeze_excite_of(check, shape_of(x), squeeze, excite, inner);
  const Kept kept{squeeze, excite, pooled, hidden, gate};
  LayerGradients layers{dsqueeze, dsqueeze_bias, dexcite, dexcite_bias};
  expect_norm(check, m, scale, bias, mean, variance);
  expect_norm_gradients(check, m, x, dx, dscale, dbias);
  check.expect("dy", dy, shape_of(x));
  kept.check(check, s);
  layers.check(check, s, kept);
  if (check.failed()) return check.error();

  using T = std::remove_pointer_t<decltype(numbers(dx))>;
  const Affine affine = affine_of(m, scale, bias, mean.typed_data(), variance.typed_data(), epsilon);
  const Normed norm{activation, m.line, affine.factor.data(), affine.offset.data()};
  const int64_t at_once = images_at_once(s), shares = quotient_up(s.images, at_once);
  std::vector<double> sums(shares * 2 * m.channels);
  const auto& run = squeeze_excite_kernels<T>();
  gate_gradient<T>(
      threads, s, kept, layers,
      [&](int64_t begin, int64_t end, const float* open, float* dgate) {
        const int64_t at = begin * s.size();
        float* const slope = scratch((end - begin) * s.size());
        run.dgate_normed(s.gate, norm, end - begin, numbers(x) + at, numbers(dy) + at, open, slope, dgate);
      },
      [&](int64_t begin, int64_t end, const float* open, const float* dpixel) {
        // The slopes are still where this thread left them.
        const int64_t at = begin * s.size();
        run.dz(s.gate, end - begin, numbers(x) + at, numbers(dy) + at, open, dpixel, scratch((end - begin) * s.size()),
               numbers(dx) + at, sums.data() + begin / at_once * 2 * m.channels);
      });
  finish_gradient(threads, m, affine, numbers(x), mean, numbers(dx), added(shares, std::move(sums)), numbers(dx),
                  dscale, dbias);
  return ffi::Error::Success();
}

template <class Images>
auto binding() {
  using Arguments = Given<Images, Array, Array, Array, Array, Array, Array>;
  using Results = Made<Images, Array, Array, Array, Array, Array>;
  return with_norm(arrays_call(Arguments{}, Results{})).template Attr<Activation>("inner");
}

template <class Images>
auto gradient_binding() {
  using Arguments = Given<Images, Array, Array, Array, Array, Array, Array, Array, Array, Array, Images>;
  using Results = Made<Images, Array, Array, Array, Array, Array, Array>;
  return with_norm(arrays_call(Arguments{}, Results{})).template Attr<Activation>("inner");
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_squeeze_excite, squeeze_excite_call,
                              (arrays_call<5, 4>().Attr<Activation>("activation")));
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_squeeze_excite_gradient, squeeze_excite_gradient_call,
                              (arrays_call<7, 5>().Attr<Activation>("activation")));
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_norm_squeeze_excite, norm_squeeze_excite_call<ffi::F32>,
                              binding<Array>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_norm_squeeze_excite_gradient,
                              norm_squeeze_excite_gradient_call<ffi::F32>, gradient_binding<Array>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_half_norm_squeeze_excite, norm_squeeze_excite_call<ffi::BF16>,
                              binding<HalfArray>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_half_norm_squeeze_excite_gradient,
                              norm_squeeze_excite_gradient_call<ffi::BF16>, gradient_binding<HalfArray>());

}  // namespace scaling_search
