// What XLA calls for the largest value of each window, and its gradient: the check of shapes; an item is an image.
//
// As in ffi.cc, a result is the same to the last bit however many threads there are.
#include "parallel.h"
#include "pooling.h"
#include "shapes.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

struct Pooled {
  Window window;
  int64_t images;

  int64_t input() const { return window.height * window.width * window.channels; }
  int64_t output() const { return window.out_height * window.out_width * window.channels; }
};

Pooled pooled_of(ShapeCheck& check, const Shape& x, const Shape& y, int64_t side, int64_t stride, int64_t top,
                 int64_t left) {
  check.require(x.size() == 4 && y.size() == 4, "arrays must have four dimensions");
  check.require(side >= 1 && stride >= 1, "window and stride must be at least 1");
  if (check.failed()) return {};
  check.expect("output", y, {x[0], y[1], y[2], x[3]});
  return {{x[1], x[2], x[3], y[1], y[2], side, side, stride, top, left}, x[0]};
}

ffi::Error max_pool_call(ffi::ThreadPool threads, Array x, Result y, int64_t stride, int64_t top, int64_t left,
                         int64_t window) {
  ShapeCheck check("maximum of windows");
  const Pooled p = pooled_of(check, shape_of(x), shape_of(*y), window, stride, top, left);
  if (check.failed()) return check.error();
  parallel_for(threads, p.images, [&](int64_t i) {
    pooling_kernels().largest(p.window, x.typed_data() + i * p.input(), y->typed_data() + i * p.output());
  });
  return ffi::Error::Success();
}

ffi::Error max_pool_gradient_call(ffi::ThreadPool threads, Array x, Array y, Array dy, Result dx, int64_t stride,
                                  int64_t top, int64_t left, int64_t window) {
  ShapeCheck check("gradient of the maximum of windows");
  const Pooled p = pooled_of(check, shape_of(x), shape_of(y), window, stride, top, left);
  check.expect("dy", dy, shape_of(y)).expect("dx", dx, shape_of(x));
  if (check.failed()) return check.error();
  parallel_for(threads, p.images, [&](int64_t i) {
    pooling_kernels().largest_dx(p.window, x.typed_data() + i * p.input(), y.typed_data() + i * p.output(),
                                 dy.typed_data() + i * p.output(), dx->typed_data() + i * p.input());
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_max_pool, max_pool_call,
                              with_window(arrays_call<1, 1>()).Attr<int64_t>("window"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_max_pool_gradient, max_pool_gradient_call,
                              with_window(arrays_call<3, 1>()).Attr<int64_t>("window"));

}  // namespace scaling_search
