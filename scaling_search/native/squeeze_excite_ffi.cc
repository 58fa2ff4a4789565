// What XLA calls for squeeze-and-excitation, alone and with the batch norm before it.
//
// As in ffi.cc, a result is the same to the last bit however many threads there are; and of the two as if made by two
// calls.
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
  const SqueezeExcite s = squeeze_excite_of(check, x, squeeze, excite, activation);
  Gated out{y, mean, hidden, gate};
  check.expect("squeeze_bias", squeeze_bias, {s.gate.squeezed}).expect("excite_bias", excite_bias, {s.gate.channels});
  out.check(check, s, x);
  if (check.failed()) return check.error();

  apply_gate(threads, s, squeeze, squeeze_bias, excite, excite_bias, out,
             [&](int64_t begin, int64_t) { return x.typed_data() + begin * s.size(); });
  return ffi::Error::Success();
}

ffi::Error squeeze_excite_gradient_call(ffi::ThreadPool threads, Array x, Array squeeze, Array excite, Array mean,
                                        Array hidden, Array gate, Array dy, Result dx, Result dsqueeze,
                                        Result dsqueeze_bias, Result dexcite, Result dexcite_bias,
                                        Activation activation) {
  ShapeCheck check("gradient of squeeze-excite");
  const SqueezeExcite s = squeeze_excite_of(check, x, squeeze, excite, activation);
  const Kept kept{squeeze, excite, mean, hidden, gate};
  LayerGradients layers{dsqueeze, dsqueeze_bias, dexcite, dexcite_bias};
  kept.check(check, s);
  layers.check(check, s, kept);
  check.expect("dy", dy, shape_of(x)).expect("dx", dx, shape_of(x));
  if (check.failed()) return check.error();

  gate_gradient(threads, s, kept, dy, layers, [&](int64_t begin, int64_t, const auto& run) {
    run(x.typed_data() + begin * s.size(), dx->typed_data() + begin * s.size());
  });
  return ffi::Error::Success();
}

ffi::Error norm_squeeze_excite_call(ffi::ThreadPool threads, Array x, Array scale, Array bias, Array squeeze,
                                    Array squeeze_bias, Array excite, Array excite_bias, Result y, Result mean,
                                    Result variance, Result pooled, Result hidden, Result gate, float epsilon,
                                    Activation activation, Activation inner) {
  ShapeCheck check("batch norm and squeeze-excite");
  const Matrix m = matrix_of(check, x, activation);
  const SqueezeExcite s = squeeze_excite_of(check, x, squeeze, excite, inner);
  Gated out{y, pooled, hidden, gate};
  expect_norm(check, m, scale, bias, mean, variance);
  check.expect("squeeze_bias", squeeze_bias, {s.gate.squeezed}).expect("excite_bias", excite_bias, {s.gate.channels});
  out.check(check, s, x);
  if (check.failed()) return check.error();

  find_statistics(threads, m, x.typed_data(), mean->typed_data(), variance->typed_data());
  const Affine affine = affine_of(m, scale, bias, mean->typed_data(), variance->typed_data(), epsilon);
  apply_gate(threads, s, squeeze, squeeze_bias, excite, excite_bias, out, [&](int64_t begin, int64_t end) {
    const Rows rows{begin * s.gate.pixels, end * s.gate.pixels, m.channels};
    batch_norm_kernels<float>().normalise(rows, activation, x.typed_data(), affine.factor.data(), affine.offset.data(),
                                          y->typed_data());
    return y->typed_data() + begin * s.size();
  });
  return ffi::Error::Success();
}

ffi::Error norm_squeeze_excite_gradient_call(ffi::ThreadPool threads, Array x, Array scale, Array bias, Array mean,
                                             Array variance, Array squeeze, Array excite, Array pooled, Array hidden,
                                             Array gate, Array dy, Result dx, Result dscale, Result dbias,
                                             Result dsqueeze, Result dsqueeze_bias, Result dexcite,
                                             Result dexcite_bias, float epsilon, Activation activation,
                                             Activation inner) {
  ShapeCheck check("gradient of batch norm and squeeze-excite");
  const Matrix m = matrix_of(check, x, activation);
  const SqueezeExcite s = squeeze_excite_of(check, x, squeeze, excite, inner);
  const Kept kept{squeeze, excite, pooled, hidden, gate};
  LayerGradients layers{dsqueeze, dsqueeze_bias, dexcite, dexcite_bias};
  expect_norm(check, m, scale, bias, mean, variance);
  expect_norm_gradients(check, m, x, dx, dscale, dbias);
  check.expect("dy", dy, shape_of(x));
  kept.check(check, s);
  layers.check(check, s, kept);
  if (check.failed()) return check.error();

  const Affine affine = affine_of(m, scale, bias, mean.typed_data(), variance.typed_data(), epsilon);
  GradientSums sums(m, x.typed_data(), dx->typed_data());
  gate_gradient(threads, s, kept, dy, layers, [&](int64_t begin, int64_t end, const auto& run) {
    const int64_t size = (end - begin) * s.size();
    static thread_local std::vector<float> room;  // Images and the activation's slopes, kept for the next share.
    if (static_cast<int64_t>(room.size()) < 2 * size) room.resize(2 * size);
    float *const active = room.data(), *const slope = active + size;
    const Rows rows{0, (end - begin) * s.gate.pixels, m.channels};
    float* const out = dx->typed_data() + begin * s.size();
    slope_kernels().normalise(rows, activation, x.typed_data() + begin * s.size(), affine.factor.data(),
                              affine.offset.data(), active, slope);
    run(active, out);
    slope_kernels().apply(size, slope, out);
    int64_t item = sums.first_item(begin * s.gate.pixels);
    sums.sum_to(end * s.gate.pixels, item);
  });
  finish_gradient(threads, m, affine, numbers(x), mean, numbers(dx), sums.all(threads), numbers(dx), dscale, dbias);
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_squeeze_excite, squeeze_excite_call,
                              (arrays_call<5, 4>().Attr<Activation>("activation")));
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_squeeze_excite_gradient, squeeze_excite_gradient_call,
                              (arrays_call<7, 5>().Attr<Activation>("activation")));
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_norm_squeeze_excite, norm_squeeze_excite_call,
                              with_norm(arrays_call<7, 6>()).Attr<Activation>("inner"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_norm_squeeze_excite_gradient, norm_squeeze_excite_gradient_call,
                              with_norm(arrays_call<11, 7>()).Attr<Activation>("inner"));

}  // namespace scaling_search
