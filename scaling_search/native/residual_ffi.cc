// What XLA calls for a batch norm, what it is added to, and a ReLU.
//
// As in ffi.cc, a result is the same to the last bit however many threads there are.
#include "batch_norm_calls.h"
#include "residual.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

ffi::Error norm_residual_call(ffi::ThreadPool threads, Array x, Array scale, Array bias, Array shortcut, Result y,
                              Result mean, Result variance, float epsilon) {
  ShapeCheck check("batch norm with a residual");
  const Matrix m = matrix_of(check, x, Activation::kRelu);
  expect_norm(check, m, scale, bias, mean, variance);
  check.expect("shortcut", shortcut, shape_of(x)).expect("y", y, shape_of(x));
  if (check.failed()) return check.error();

  find_statistics(threads, m, x.typed_data(), mean->typed_data(), variance->typed_data());
  const Affine affine = affine_of(m, scale, bias, mean->typed_data(), variance->typed_data(), epsilon);
  parallel_for(threads, m.items, [&](int64_t i) {
    residual_kernels().normalise_onto(m.item(i), x.typed_data(), affine.factor.data(), affine.offset.data(),
                                      shortcut.typed_data(), y->typed_data());
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_norm_residual, norm_residual_call,
                              (arrays_call<4, 3>()).Attr<float>("epsilon"));

}  // namespace scaling_search
