// What calls with squeeze-and-excitation have in common: the check of shapes and the split into images.
#ifndef SCALING_SEARCH_NATIVE_SQUEEZE_EXCITE_CALLS_H_
#define SCALING_SEARCH_NATIVE_SQUEEZE_EXCITE_CALLS_H_

#include <algorithm>
#include <type_traits>
#include <vector>

#include "batch_norm_calls.h"
#include "dense.h"
#include "parallel.h"
#include "shapes.h"
#include "squeeze_excite.h"

namespace scaling_search {

// x (N, H, W, C), the first layer's kernel (C, S) and the second's (S, C).
struct SqueezeExcite {
  int64_t images;
  Gate gate;

  int64_t size() const { return gate.pixels * gate.channels; }
  Shape wide() const { return {images, gate.channels}; }
  Shape narrow() const { return {images, gate.squeezed}; }
};

inline SqueezeExcite squeeze_excite_of(ShapeCheck& check, const Shape& in, const Array& squeeze, const Array& excite,
                                       Activation activation) {
  const Shape first = shape_of(squeeze);
  check.require(is_known(activation), "the activation has no such number");
  check.require(in.size() == 4 && first.size() == 2, "x must have four dimensions, squeeze two");
  if (check.failed()) return {};
  check.require(in[1] * in[2] > 0, "x has no pixels");
  check.expect("squeeze", squeeze, {in[3], first[1]}).expect("excite", excite, {first[1], in[3]});
  return {in[0], {in[1] * in[2], in[3], first[1], activation}};
}

// A matrix (rows, columns) turned, by all threads.
inline std::vector<float> transposed(ffi::ThreadPool& threads, const float* matrix, int64_t rows, int64_t columns) {
  std::vector<float> out(rows * columns);
  const int64_t at_once = std::max<int64_t>(kMatrixBlock, kItemFloats / std::max<int64_t>(columns, 1));
  parallel_for(threads, quotient_up(rows, at_once), [&](int64_t item) {
    const int64_t begin = item * at_once, end = std::min(rows, begin + at_once);
    dense_kernels().transpose(end - begin, columns, matrix + begin * columns, out.data() + begin, rows);
  });
  return out;
}

// How many images make a share of them: of small ones a multiple of four, by which the layers are multiplied.
inline int64_t images_at_once(const SqueezeExcite& s) {
  const int64_t fit = std::max<int64_t>(1, kItemFloats / std::max<int64_t>(s.size(), 1));
  return fit < 3 ? fit : quotient_up(fit, 4) * 4;
}

// Calls body(first image, last image) for shares of them.
template <class Body>
void for_images(ffi::ThreadPool& threads, const SqueezeExcite& s, const Body& body) {
  const int64_t at_once = images_at_once(s);
  parallel_for(threads, quotient_up(s.images, at_once),
               [&](int64_t item) { body(item * at_once, std::min(s.images, (item + 1) * at_once)); });
}

// The arrays of a call's result, what its gradient needs among them.
template <class Images>
struct Gated {
  Images& y;
  Result &mean, &hidden, &gate;

  void check(ShapeCheck& check, const SqueezeExcite& s, const Shape& x) {
    check.expect("y", y, x).expect("mean", mean, s.wide()).expect("hidden", hidden, s.narrow());
    check.expect("gate", gate, s.wide());
  }
};

// The gate of every image. input(first, last, mean) sets the means of a share and tells where its images lie: perhaps
// in y itself.
template <class Images, class Input>
void apply_gate(ffi::ThreadPool& threads, const SqueezeExcite& s, const Array& squeeze, const Array& squeeze_bias,
                const Array& excite, const Array& excite_bias, Gated<Images> out, const Input& input) {
  using T = std::remove_pointer_t<decltype(numbers(out.y))>;
  const Gate& g = s.gate;
  std::vector<float> active(s.images * g.squeezed);
  for_images(threads, s, [&](int64_t begin, int64_t end) {
    const int64_t narrow = begin * g.squeezed, wide = begin * g.channels;
    float* const mean = out.mean->typed_data() + wide;
    const float* const x = input(begin, end, mean);
    squeeze_excite_kernels<T>().forward(g, end - begin, x, mean, squeeze.typed_data(), squeeze_bias.typed_data(),
                                        excite.typed_data(), excite_bias.typed_data(),
                                        numbers(out.y) + begin * s.size(), out.hidden->typed_data() + narrow,
                                        out.gate->typed_data() + wide, active.data() + narrow);
  });
}

// What the forward pass kept, and the two layers.
struct Kept {
  const Array &squeeze, &excite, &mean, &hidden, &gate;

  void check(ShapeCheck& check, const SqueezeExcite& s) const {
    check.expect("mean", mean, s.wide()).expect("hidden", hidden, s.narrow()).expect("gate", gate, s.wide());
  }
};

// The layers' gradients.
struct LayerGradients {
  Result &dsqueeze, &dsqueeze_bias, &dexcite, &dexcite_bias;

  void check(ShapeCheck& check, const SqueezeExcite& s, const Kept& kept) {
    check.expect("dsqueeze", dsqueeze, shape_of(kept.squeeze))
        .expect("dsqueeze_bias", dsqueeze_bias, {s.gate.squeezed});
    check.expect("dexcite", dexcite, shape_of(kept.excite)).expect("dexcite_bias", dexcite_bias, {s.gate.channels});
  }
};

// All gradients. For a share of the images find_dgate(first image, last image, gate, dgate) comes first, and then
// find_dx(first image, last image, gate, dpixel): see squeeze_excite.h.
template <class T, class FindDgate, class FindDx>
void gate_gradient(ffi::ThreadPool& threads, const SqueezeExcite& s, const Kept& kept, LayerGradients out,
                   const FindDgate& find_dgate, const FindDx& find_dx) {
  const Gate& g = s.gate;
  const int64_t count = s.images;
  const std::vector<float> squeeze = transposed(threads, kept.squeeze.typed_data(), g.channels, g.squeezed);
  const std::vector<float> excite = transposed(threads, kept.excite.typed_data(), g.squeezed, g.channels);
  std::vector<float> active(count * g.squeezed), dhidden(count * g.squeezed);
  std::vector<float> dgate(count * g.channels), dpixel(count * g.channels);
  for_images(threads, s, [&](int64_t begin, int64_t end) {
    const int64_t narrow = begin * g.squeezed, wide = begin * g.channels;
    const float* const gate = kept.gate.typed_data() + wide;
    find_dgate(begin, end, gate, dgate.data() + wide);
    squeeze_excite_kernels<T>().dlayers(g, end - begin, kept.hidden.typed_data() + narrow, squeeze.data(),
                                        excite.data(), dgate.data() + wide, active.data() + narrow,
                                        dhidden.data() + narrow, dpixel.data() + wide);
    find_dx(begin, end, gate, dpixel.data() + wide);
  });
  // The layers' own gradients, of some channels at a time.
  const auto& combine = squeeze_excite_kernels<T>().combine;
  const float one = 1;
  const int64_t at_once =
      quotient_up(kItemFloats, std::max<int64_t>(1, count * g.squeezed) * kMatrixBlock) * kMatrixBlock;
  parallel_for(threads, quotient_up(g.channels, at_once), [&](int64_t item) {
    const int64_t c = item * at_once, channels = std::min(at_once, g.channels - c);
    combine({channels, count, g.squeezed, g.squeezed, 1, g.channels}, kept.mean.typed_data() + c, dhidden.data(),
            nullptr, out.dsqueeze->typed_data() + c * g.squeezed);
    combine({g.squeezed, count, channels, g.channels, 1, g.squeezed}, active.data(), dgate.data() + c, nullptr,
            out.dexcite->typed_data() + c);
    combine({1, count, channels, g.channels, 0, 0}, &one, dgate.data() + c, nullptr,
            out.dexcite_bias->typed_data() + c);
  });
  kernels().weighted_sum(count, g.squeezed, &one, 0, dhidden.data(), out.dsqueeze_bias->typed_data());
}

}  // namespace scaling_search

#endif  // SCALING_SEARCH_NATIVE_SQUEEZE_EXCITE_CALLS_H_
