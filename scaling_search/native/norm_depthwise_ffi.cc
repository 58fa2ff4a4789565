// What XLA calls for a batch norm with its activation and the depthwise convolution behind it, as one: what lies
// between the two is made band by band, in floats, in scratch that stays in a core's cache, and in the gradient made
// again. Images are float32 or, with "half_" before the name, bfloat16.
//
// As in ffi.cc, a result is the same to the last bit however many threads there are.
#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "batch_norm_calls.h"
#include "depthwise_calls.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

constexpr int64_t kMostShares = 64;  // Of the forward pass; what two of them have in common is made twice.

// The input rows of one image, or of several whole ones, that a band of output rows needs and has the gradient of.
struct Reach {
  int64_t first, last;  // Rows needed.
  int64_t begin, end;   // Rows whose gradient goes with the band: together, the bands of an image have each once.
};

Reach reach_of(const Window& w, const Band& band) {
  if (band.image_end - band.image_begin > 1) {
    const int64_t rows = (band.image_end - band.image_begin) * w.height;
    return {0, rows, 0, rows};
  }
  const auto inside = [&](int64_t row) { return std::clamp<int64_t>(row, 0, w.height); };
  const int64_t begin = band.row_begin == 0 ? 0 : inside(band.row_begin * w.stride);
  const int64_t end = band.row_end == w.out_height ? w.height : inside(band.row_end * w.stride);
  const int64_t top = inside(band.row_begin * w.stride - w.top);
  const int64_t bottom = inside((band.row_end - 1) * w.stride - w.top + w.rows);
  return {std::min(top, begin), std::max(bottom, end), begin, end};
}

// Activated rows of an image, and the activation's slopes there if wanted.
template <class T>
class Activated {
 public:
  Activated(const Matrix& matrix, const Window& window, Activation activation, const Affine& affine,
            const std::vector<Band>& bands, bool slopes)
      : matrix_(matrix), window_(window), activation_(activation), affine_(affine), slopes_(slopes) {
    int64_t rows = 0;
    for (const Band& band : bands) {
      const Reach reach = reach_of(window, band);
      rows = std::max(rows, reach.last - reach.first);
    }
    static thread_local std::vector<float> room;  // Kept for the next share.
    const size_t size = rows * line();
    if (room.size() < 2 * size) room.resize(2 * size);
    rows_ = room.data();
    slope_ = room.data() + size;
  }

  // Holds rows [first, last) of an image: those held already are moved to the front. What lies beside as the image does
  // is written next.
  void hold(const T* image, const T* beside, int64_t first, int64_t last) {
    const bool goes_on = image == image_ && first >= first_ && first <= last_;
    const int64_t kept = goes_on ? last_ - first : 0;
    if (kept > 0 && first > first_) {
      const int64_t from = (first - first_) * line();
      std::copy(rows_ + from, rows_ + from + kept * line(), rows_);
      if (slopes_) std::copy(slope_ + from, slope_ + from + kept * line(), slope_);
    }
    image_ = image;
    first_ = first;
    last_ = std::max(last, first + kept);
    const Rows rows = matrix_.all_of((last_ - first - kept) * window_.width);
    const int64_t from = (first + kept) * line();
    const T* x = image + from;
    const float *factor = affine_.factor.data(), *offset = affine_.offset.data();
    if (slopes_) {
      joined_kernels<T>().activate_with_slope(rows, activation_, x, factor, offset, rows_ + kept * line(),
                                              slope_ + kept * line(), beside + from);
    } else {
      joined_kernels<T>().activate(rows, activation_, x, factor, offset, rows_ + kept * line());
    }
  }

  // The window over what is held, with whose first output row the band begins.
  Window window_of(const Band& band) const {
    if (band.image_end - band.image_begin > 1) return window_;
    Window w = window_;
    w.height = last_ - first_;
    w.out_height = band.row_end - band.row_begin;
    w.top += first_ - band.row_begin * w.stride;
    return w;
  }
  const float* rows() const { return rows_; }
  // The slopes from a row held, or null.
  const float* slope(int64_t row) const { return slopes_ ? slope_ + (row - first_) * line() : nullptr; }

 private:
  int64_t line() const { return window_.width * window_.channels; }

  const Matrix& matrix_;
  const Window& window_;
  Activation activation_;
  const Affine& affine_;
  bool slopes_;
  float *rows_, *slope_;
  const T* image_ = nullptr;
  int64_t first_ = 0, last_ = 0;
};

// A band's own numbers, where its images begin at 0 and its rows too.
Band own(const Band& band) { return {0, band.image_end - band.image_begin, 0, band.row_end - band.row_begin}; }

int64_t input_at(const Window& w, const Band& band) { return band.image_begin * w.height * w.width * w.channels; }

int64_t output_at(const Window& w, const Band& band) {
  return (band.image_begin * w.out_height + band.row_begin) * w.out_width * w.channels;
}

template <ffi::DataType kType>
ffi::Error norm_depthwise_call(ffi::ThreadPool threads, ffi::Buffer<kType> x, Array scale, Array bias, Array kernel,
                               ffi::ResultBuffer<kType> y, Result mean, Result variance, float epsilon,
                               Activation activation, int64_t stride, int64_t top, int64_t left) {
  using T = std::remove_pointer_t<decltype(numbers(y))>;
  ShapeCheck check("batch norm and depthwise convolution");
  const Matrix m = matrix_of(check, x, activation);
  const Depthwise d = depthwise_of(check, shape_of(x), shape_of(kernel), shape_of(*y), stride, top, left);
  expect_norm(check, m, scale, bias, mean, variance);
  if (check.failed()) return check.error();

  find_statistics(threads, m, numbers(x), mean->typed_data(), variance->typed_data());
  const Affine affine = affine_of(m, scale, bias, mean->typed_data(), variance->typed_data(), epsilon);
  const Window& w = d.window;
  const std::vector<float> taps = taps_of(d, kernel.typed_data());
  const std::vector<Band> all = bands(d.images, w.out_height, d.floats_per_output_row());
  const int64_t most = static_cast<int64_t>(all.size()), shares = std::min(most, kMostShares);
  parallel_for(threads, shares, [&](int64_t i) {
    Activated<T> activated(m, w, activation, affine, all, false);
    for (int64_t b = most * i / shares; b < most * (i + 1) / shares; ++b) {
      const Reach reach = reach_of(w, all[b]);
      activated.hold(numbers(x) + input_at(w, all[b]), nullptr, reach.first, reach.last);
      depthwise_kernels<T>().forward(activated.window_of(all[b]), own(all[b]), activated.rows(), taps.data(),
                                     numbers(y) + output_at(w, all[b]));
    }
  });
  return ffi::Error::Success();
}

template <ffi::DataType kType>
ffi::Error norm_depthwise_gradient_call(ffi::ThreadPool threads, ffi::Buffer<kType> x, Array scale, Array bias,
                                        Array mean, Array variance, Array kernel, ffi::Buffer<kType> dy,
                                        ffi::ResultBuffer<kType> dx, Result dscale, Result dbias, Result dkernel,
                                        float epsilon, Activation activation, int64_t stride, int64_t top,
                                        int64_t left) {
  using T = std::remove_pointer_t<decltype(numbers(dx))>;
  ShapeCheck check("gradient of batch norm and depthwise convolution");
  const Matrix m = matrix_of(check, x, activation);
  const Depthwise d = depthwise_of(check, shape_of(x), shape_of(kernel), shape_of(dy), stride, top, left);
  expect_norm(check, m, scale, bias, mean, variance);
  expect_norm_gradients(check, m, x, dx, dscale, dbias);
  check.expect("dkernel", dkernel, d.kernel());
  if (check.failed()) return check.error();

  const Affine affine = affine_of(m, scale, bias, mean.typed_data(), variance.typed_data(), epsilon);
  const Window& w = d.window;
  const std::vector<float> phases = split_by_phase(w, taps_of(d, kernel.typed_data()).data());
  const std::vector<Band> all = bands(d.images, w.out_height, d.floats_per_output_row());
  const int64_t most = static_cast<int64_t>(all.size()), shares = gradient_shares(d, most);
  const int64_t taps = d.floats_of_kernel();
  std::vector<float> partial(shares * taps);
  std::vector<double> sums(shares * 2 * m.channels);
  if (most == 0) std::fill(numbers(dx), numbers(dx) + dx->element_count(), T{});
  parallel_for(threads, shares, [&](int64_t i) {
    Activated<T> activated(m, w, activation, affine, all, activation != Activation::kNone);
    for (int64_t b = most * i / shares; b < most * (i + 1) / shares; ++b) {
      const Band& band = all[b];
      const Reach reach = reach_of(w, band);
      activated.hold(numbers(x) + input_at(w, band), numbers(dx) + input_at(w, band), reach.first, reach.last);
      depthwise_kernels<T>().dkernel(activated.window_of(band), own(band), activated.rows(),
                                     numbers(dy) + output_at(w, band), partial.data() + i * taps);
      const bool several = band.image_end - band.image_begin > 1;
      const Band in{band.image_begin, band.image_end, several ? 0 : reach.begin, several ? w.height : reach.end};
      depthwise_kernels<T>().dx(w, in, phases.data(), numbers(dy), numbers(dx));
      const int64_t at = (band.image_begin * w.height + reach.begin) * w.width * w.channels;
      joined_kernels<T>().apply_slope(m.all_of((reach.end - reach.begin) * w.width), activated.slope(reach.begin),
                                      numbers(x) + at, numbers(dx) + at, sums.data() + i * 2 * m.channels);
    }
  });
  finish_dkernel(d, shares, partial, dkernel->typed_data());
  finish_gradient(threads, m, affine, numbers(x), mean, numbers(dx), added(shares, std::move(sums)), numbers(dx),
                  dscale, dbias);
  return ffi::Error::Success();
}

template <class Images>
auto binding() {
  return with_window(with_norm(arrays_call(Given<Images, Array, Array, Array>{}, Made<Images, Array, Array>{})));
}

template <class Images>
auto gradient_binding() {
  using Arguments = Given<Images, Array, Array, Array, Array, Array, Images>;
  return with_window(with_norm(arrays_call(Arguments{}, Made<Images, Array, Array, Array>{})));
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_norm_depthwise, norm_depthwise_call<ffi::F32>, binding<Array>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_norm_depthwise_gradient, norm_depthwise_gradient_call<ffi::F32>,
                              gradient_binding<Array>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_half_norm_depthwise, norm_depthwise_call<ffi::BF16>,
                              binding<HalfArray>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_half_norm_depthwise_gradient, norm_depthwise_gradient_call<ffi::BF16>,
                              gradient_binding<HalfArray>());

}  // namespace scaling_search
