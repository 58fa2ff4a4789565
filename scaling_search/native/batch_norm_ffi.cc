// What XLA calls for batch norm with its activation.
//
// As in ffi.cc, a result is the same to the last bit however many threads there are.
#include <vector>

#include "batch_norm_calls.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

void normalise(ffi::ThreadPool& threads, const Matrix& m, const Affine& affine, Activation activation, const Array& x,
               Result& y) {
  parallel_for(threads, m.items, [&](int64_t i) {
    batch_norm_kernels().normalise(m.item(i), activation, x.typed_data(), affine.factor.data(), affine.offset.data(),
                                   y->typed_data());
  });
}

ffi::Error batch_norm_call(ffi::ThreadPool threads, Array x, Array scale, Array bias, Result y, Result mean,
                           Result variance, float epsilon, Activation activation) {
  ShapeCheck check("batch norm");
  const Matrix m = matrix_of(check, x, activation);
  expect_norm(check, m, scale, bias, mean, variance);
  check.expect("y", y, shape_of(x));
  if (check.failed()) return check.error();

  find_statistics(threads, m, x, mean->typed_data(), variance->typed_data());
  const Affine affine = affine_of(m, scale, bias, mean->typed_data(), variance->typed_data(), epsilon);
  normalise(threads, m, affine, activation, x, y);
  return ffi::Error::Success();
}

// The same with statistics given: for evaluation.
ffi::Error normalise_call(ffi::ThreadPool threads, Array x, Array scale, Array bias, Array mean, Array variance,
                          Result y, float epsilon, Activation activation) {
  ShapeCheck check("batch norm by given statistics");
  const Matrix m = matrix_of(check, x, activation);
  expect_norm(check, m, scale, bias, mean, variance);
  check.expect("y", y, shape_of(x));
  if (check.failed()) return check.error();

  const Affine affine = affine_of(m, scale, bias, mean.typed_data(), variance.typed_data(), epsilon);
  normalise(threads, m, affine, activation, x, y);
  return ffi::Error::Success();
}

ffi::Error batch_norm_gradient_call(ffi::ThreadPool threads, Array x, Array scale, Array bias, Array mean,
                                    Array variance, Array dy, Result dx, Result dscale, Result dbias, float epsilon,
                                    Activation activation) {
  ShapeCheck check("gradient of batch norm");
  const Matrix m = matrix_of(check, x, activation);
  expect_norm(check, m, scale, bias, mean, variance);
  expect_norm_gradients(check, m, x, dx, dscale, dbias);
  check.expect("dy", dy, shape_of(x));
  if (check.failed()) return check.error();

  const Affine affine = affine_of(m, scale, bias, mean.typed_data(), variance.typed_data(), epsilon);
  // dz takes dx's place until the sums are known.
  const float* dz = activation == Activation::kNone ? dy.typed_data() : dx->typed_data();
  const std::vector<double> sums = sums_of(threads, m, [&](const Rows& rows, double* out) {
    batch_norm_kernels().gradient_moments(rows, activation, x.typed_data(), dy.typed_data(), affine.factor.data(),
                               affine.offset.data(), dx->typed_data(), out);
  });
  finish_gradient(threads, m, affine, x, mean, dz, sums, dx, dscale, dbias);
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_batch_norm, batch_norm_call, with_norm(arrays_call<3, 3>()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_normalise, normalise_call, with_norm(arrays_call<5, 1>()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_batch_norm_gradient, batch_norm_gradient_call,
                              with_norm(arrays_call<6, 3>()));

}  // namespace scaling_search
