// What XLA calls for depthwise convolutions.
//
// As in ffi.cc, a result is the same to the last bit however many threads there are.
#include <algorithm>
#include <vector>

#include "depthwise_calls.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

ffi::Error depthwise_call(ffi::ThreadPool threads, Array x, Array kernel, Result y, int64_t stride, int64_t top,
                          int64_t left) {
  ShapeCheck check("depthwise convolution");
  const Depthwise d = depthwise_of(check, shape_of(x), shape_of(kernel), shape_of(*y), stride, top, left);
  if (check.failed()) return check.error();
  const std::vector<float> taps = taps_of(d, kernel.typed_data());
  const std::vector<Band> all = bands(d.images, d.window.out_height, d.floats_per_output_row());
  parallel_for(threads, all.size(), [&](int64_t i) {
    depthwise_kernels<float>().forward(d.window, all[i], x.typed_data(), taps.data(), y->typed_data());
  });
  return ffi::Error::Success();
}

ffi::Error depthwise_gradient_call(ffi::ThreadPool threads, Array x, Array kernel, Array dy, Result dx, Result dkernel,
                                   int64_t stride, int64_t top, int64_t left) {
  ShapeCheck check("gradient of depthwise convolution");
  const Depthwise d = depthwise_of(check, shape_of(x), shape_of(kernel), shape_of(dy), stride, top, left);
  check.expect("dx", dx, d.input()).expect("dkernel", dkernel, d.kernel());
  if (check.failed()) return check.error();
  const Window& w = d.window;

  const std::vector<float> phases = split_by_phase(w, taps_of(d, kernel.typed_data()).data());
  const std::vector<Band> in = bands(d.images, w.height, (w.width + quotient_up(w.out_width, w.stride)) * w.channels);
  const std::vector<Band> out = bands(d.images, w.out_height, d.floats_per_output_row());
  const int64_t most = static_cast<int64_t>(out.size()), shares = gradient_shares(d, most);
  const int64_t floats = d.floats_of_kernel(), inputs = static_cast<int64_t>(in.size());
  std::vector<float> partial(shares * floats);
  parallel_for(threads, shares, [&](int64_t i) {
    // A share's part of dx beside its part of dkernel, as both read about the same rows of dy.
    int64_t band = inputs * i / shares;
    for (int64_t b = most * i / shares; b < most * (i + 1) / shares; ++b) {
      depthwise_kernels<float>().dkernel(w, out[b], x.typed_data(), dy.typed_data(), partial.data() + i * floats);
      const int64_t last = inputs * (b + 1) / most;
      for (; band < last; ++band) {
        depthwise_kernels<float>().dx(w, in[band], phases.data(), dy.typed_data(), dx->typed_data());
      }
    }
    for (; band < inputs * (i + 1) / shares; ++band) {
      depthwise_kernels<float>().dx(w, in[band], phases.data(), dy.typed_data(), dx->typed_data());
    }
  });
  finish_dkernel(d, shares, partial, dkernel->typed_data());
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_depthwise, depthwise_call, window_call());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_depthwise_gradient, depthwise_gradient_call,
                              with_window(arrays_call<3, 2>()));

}  // namespace scaling_search
