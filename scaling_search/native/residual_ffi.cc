// What XLA calls for a batch norm, what it is added to, and a ReLU, of images in float32 and, with "half_" before the
// name, in bfloat16.
//
// As in ffi.cc, a result is the same to the last bit however many threads there are.
#include <type_traits>

#include "batch_norm_calls.h"
#include "residual.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

template <ffi::DataType kType>
ffi::Error norm_residual_call(ffi::ThreadPool threads, ffi::Buffer<kType> x, Array scale, Array bias,
                              ffi::Buffer<kType> shortcut, ffi::ResultBuffer<kType> y, Result mean, Result variance,
                              float epsilon) {
  ShapeCheck check("batch norm with a residual");
  const Matrix m = matrix_of(check, x, Activation::kRelu);
  expect_norm(check, m, scale, bias, mean, variance);
  check.expect("shortcut", shortcut, shape_of(x)).expect("y", y, shape_of(x));
  if (check.failed()) return check.error();

  using T = std::remove_pointer_t<decltype(numbers(y))>;
  find_statistics(threads, m, numbers(x), mean->typed_data(), variance->typed_data());
  const Affine affine = affine_of(m, scale, bias, mean->typed_data(), variance->typed_data(), epsilon);
  parallel_for(threads, m.items, [&](int64_t i) {
    residual_kernels<T>().normalise_onto(m.item(i), numbers(x), affine.factor.data(), affine.offset.data(),
                                         numbers(shortcut), numbers(y));
  });
  return ffi::Error::Success();
}

template <class Images>
auto binding() {
  return arrays_call(Given<Images, Array, Array, Images>{}, Made<Images, Array, Array>{})
      .template Attr<float>("epsilon");
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_norm_residual, norm_residual_call<ffi::F32>, binding<Array>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_half_norm_residual, norm_residual_call<ffi::BF16>, binding<HalfArray>());

}  // namespace scaling_search
