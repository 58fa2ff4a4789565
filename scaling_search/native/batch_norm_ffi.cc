// What XLA calls for batch norm with its activation, of images in float32 and, with "half_" before the name, in
// bfloat16.
//
// As in ffi.cc, a result is the same to the last bit however many threads there are.
#include <type_traits>
#include <vector>

#include "batch_norm_calls.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

template <class T>
void normalise(ffi::ThreadPool& threads, const Matrix& m, const Affine& affine, Activation activation, const T* x,
               T* y) {
  parallel_for(threads, m.items, [&](int64_t i) {
    batch_norm_kernels<T>().normalise(m.item(i), activation, x, affine.factor.data(), affine.offset.data(), y);
  });
}

template <ffi::DataType kType>
ffi::Error batch_norm_call(ffi::ThreadPool threads, ffi::Buffer<kType> x, Array scale, Array bias,
                           ffi::ResultBuffer<kType> y, Result mean, Result variance, float epsilon,
                           Activation activation) {
  ShapeCheck check("batch norm");
  const Matrix m = matrix_of(check, x, activation);
  expect_norm(check, m, scale, bias, mean, variance);
  check.expect("y", y, shape_of(x));
  if (check.failed()) return check.error();

  find_statistics(threads, m, numbers(x), mean->typed_data(), variance->typed_data());
  const Affine affine = affine_of(m, scale, bias, mean->typed_data(), variance->typed_data(), epsilon);
  normalise(threads, m, affine, activation, numbers(x), numbers(y));
  return ffi::Error::Success();
}

// The same with statistics given: for evaluation.
template <ffi::DataType kType>
ffi::Error normalise_call(ffi::ThreadPool threads, ffi::Buffer<kType> x, Array scale, Array bias, Array mean,
                          Array variance, ffi::ResultBuffer<kType> y, float epsilon, Activation activation) {
  ShapeCheck check("batch norm by given statistics");
  const Matrix m = matrix_of(check, x, activation);
  expect_norm(check, m, scale, bias, mean, variance);
  check.expect("y", y, shape_of(x));
  if (check.failed()) return check.error();

  const Affine affine = affine_of(m, scale, bias, mean.typed_data(), variance.typed_data(), epsilon);
  normalise(threads, m, affine, activation, numbers(x), numbers(y));
  return ffi::Error::Success();
}

template <ffi::DataType kType>
ffi::Error batch_norm_gradient_call(ffi::ThreadPool threads, ffi::Buffer<kType> x, Array scale, Array bias, Array mean,
                                    Array variance, ffi::Buffer<kType> dy, ffi::ResultBuffer<kType> dx, Result dscale,
                                    Result dbias, float epsilon, Activation activation) {
  ShapeCheck check("gradient of batch norm");
  const Matrix m = matrix_of(check, x, activation);
  expect_norm(check, m, scale, bias, mean, variance);
  expect_norm_gradients(check, m, x, dx, dscale, dbias);
  check.expect("dy", dy, shape_of(x));
  if (check.failed()) return check.error();

  const Affine affine = affine_of(m, scale, bias, mean.typed_data(), variance.typed_data(), epsilon);
  using T = std::remove_pointer_t<decltype(numbers(dx))>;
  // dz takes dx's place until the sums are known.
  const T* dz = activation == Activation::kNone ? numbers(dy) : numbers(dx);
  const std::vector<double> sums = sums_of(threads, m, [&](const Rows& rows, double* out) {
    batch_norm_kernels<T>().gradient_moments(rows, activation, numbers(x), numbers(dy), affine.factor.data(),
                                             affine.offset.data(), numbers(dx), out);
  });
  finish_gradient(threads, m, affine, numbers(x), mean, dz, sums, numbers(dx), dscale, dbias);
  return ffi::Error::Success();
}

template <class Images>
auto batch_norm_binding() {
  return with_norm(arrays_call(Given<Images, Array, Array>{}, Made<Images, Array, Array>{}));
}

template <class Images>
auto normalise_binding() {
  return with_norm(arrays_call(Given<Images, Array, Array, Array, Array>{}, Made<Images>{}));
}

template <class Images>
auto gradient_binding() {
  return with_norm(arrays_call(Given<Images, Array, Array, Array, Array, Images>{}, Made<Images, Array, Array>{}));
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_batch_norm, batch_norm_call<ffi::F32>, batch_norm_binding<Array>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_normalise, normalise_call<ffi::F32>, normalise_binding<Array>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_batch_norm_gradient, batch_norm_gradient_call<ffi::F32>,
                              gradient_binding<Array>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_half_batch_norm, batch_norm_call<ffi::BF16>,
                              batch_norm_binding<HalfArray>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_half_normalise, normalise_call<ffi::BF16>,
                              normalise_binding<HalfArray>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_half_batch_norm_gradient, batch_norm_gradient_call<ffi::BF16>,
                              gradient_binding<HalfArray>());

}  // namespace scaling_search
