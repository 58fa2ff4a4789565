// What XLA calls for grouped convolutions, in float32. How work is split depends on shapes alone, and so does the order
// of every sum.
#include <algorithm>
#include <memory>
#include <vector>

#include "grouped.h"
#include "parallel.h"
#include "phases.h"
#include "shapes.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

constexpr int64_t kRoom = 6144;        // Floats of a share's lines: most of a core's first cache.
constexpr int64_t kFewestItems = 16;   // Of a call, as far as its shapes allow: enough for as many cores.
constexpr int64_t kFewestPixels = 64;  // That a share of the kernel's gradient is worth its own sums for.

using Floats = std::unique_ptr<float[]>;

// Room of a thread's own, kept for the next share.
float* scratch(int64_t floats) {
  static thread_local std::vector<float> room;
  if (static_cast<int64_t>(room.size()) < floats) room.resize(static_cast<size_t>(floats));
  return room.data();
}

// Fills in what a bundle is.
Grouped bundled(Grouped g) {
  const int64_t lanes = grouped_kernels().lanes;
  g.bundle = std::min(g.groups, std::max<int64_t>(1, lanes / std::max(g.window.channels, g.features)));
  g.width = quotient_up(g.bundle * g.features, lanes) * lanes;
  return g;
}

// Rows of the result that a share has at most.
int64_t rows_of(const Grouped& g) {
  const int64_t height = g.window.out_height, room = std::max<int64_t>(1, grouped_kernels().room(g, height));
  return std::max<int64_t>(1, quotient_up(height, quotient_up(room, kRoom)));
}

Grouped grouped_of(ShapeCheck& check, const Shape& x, const Shape& kernel, const Shape& y, int64_t stride, int64_t top,
                   int64_t left) {
  check.require(x.size() == 4 && y.size() == 4 && kernel.size() == 4, "images and kernel must have four dimensions");
  check.require(stride >= 1, "stride must be at least 1");
  if (check.failed()) return {};
  check.expect("kernel", kernel, {kernel[0], kernel[1], kernel[2], y[3]}).expect("output", y, {x[0], y[1], y[2], y[3]});
  check.require(kernel[2] > 0 && x[3] % kernel[2] == 0 && x[3] > 0 && y[3] % (x[3] / kernel[2]) == 0 && y[3] > 0,
                "groups do not divide channels and features");
  if (check.failed()) return {};
  const int64_t groups = x[3] / kernel[2];
  const Window window{x[1], x[2], kernel[2], y[1], y[2], kernel[0], kernel[1], stride, top, left};
  return bundled({window, x[0], groups, y[3] / groups, y[1], y[2], 0, 0, 1, 0, 0});
}

// Where a bundle's features begin in a row of the kernel (rows, columns, channels, features), and how many are its own.
struct Features {
  int64_t first, count;
};

Features features_of(const Grouped& g, int64_t bundle) {
  const int64_t first = bundle * g.bundle;
  return {first * g.features, std::min(g.bundle, g.groups - first) * g.features};
}

// A convolution's part: of all bundles, or of a phase of the input's gradient.
struct Item {
  const Grouped* grouped;
  const float* kernel;
  Share share;
};

void add_items(const Grouped& g, const float* kernels, std::vector<Item>& items) {
  const int64_t rows = rows_of(g);
  for (int64_t image = 0; image < g.images; ++image) {
    for (int64_t row = 0; row < g.window.out_height; row += rows) {
      // All bundles of the same lines one after another, as they lie beside each other.
      for (int64_t bundle = 0; bundle < g.bundles(); ++bundle) {
        items.push_back({&g, kernels + bundle * g.kernel(),
                         {bundle, image, image + 1, row, std::min(row + rows, g.window.out_height)}});
      }
    }
  }
}

void run(ffi::ThreadPool& threads, const std::vector<Item>& items, const float* x, float* y) {
  // Several at a time, as each is short.
  constexpr int64_t kRun = 4;
  const int64_t count = static_cast<int64_t>(items.size());
  parallel_for(threads, quotient_up(count, kRun), [&](int64_t run) {
    for (int64_t i = run * kRun; i < std::min(count, (run + 1) * kRun); ++i) {
      const auto& [grouped, kernel, share] = items[i];
      const int64_t room = grouped_kernels().room(*grouped, share.row_end - share.row_begin);
      grouped_kernels().forward(*grouped, share, x, kernel, y, scratch(room));
    }
  });
}

ffi::Error grouped_call(ffi::ThreadPool threads, Array x, Array kernel, Result y, int64_t stride, int64_t top,
                        int64_t left) {
  ShapeCheck check("grouped convolution");
  const Grouped g = grouped_of(check, shape_of(x), shape_of(kernel), shape_of(*y), stride, top, left);
  if (check.failed()) return check.error();
  const Floats kernels(new float[g.bundles() * g.kernel()]);
  const int64_t lines = g.taps() * g.window.channels, features = g.groups * g.features;
  parallel_for(threads, g.bundles(), [&](int64_t bundle) {
    const Features own = features_of(g, bundle);
    for (int64_t n = 0; n < lines; ++n) {
      const float* from = kernel.typed_data() + n * features + own.first;
      float* to = kernels.get() + (bundle * lines + n) * g.width;
      std::fill(std::copy_n(from, own.count, to), to + g.width, 0.0f);
    }
  });
  std::vector<Item> items;
  add_items(g, kernels.get(), items);
  run(threads, items, x.typed_data(), y->typed_data());
  return ffi::Error::Success();
}

// The kernels of a phase's bundles: its taps, channels and features exchanged.
void turn(const Grouped& phase, const std::vector<int64_t>& taps, const float* kernel, int64_t bundle, float* to) {
  const int64_t channels = phase.features, features = phase.window.channels, pitch = phase.groups * features;
  const int64_t first = bundle * phase.bundle, own = std::min(phase.bundle, phase.groups - first);
  for (const int64_t tap : taps) {
    for (int64_t f = 0; f < features; ++f, to += phase.width) {
      for (int64_t n = 0; n < own; ++n) {
        const float* from = kernel + tap * channels * pitch + (first + n) * features + f;
        for (int64_t c = 0; c < channels; ++c) to[n * channels + c] = from[c * pitch];
      }
      std::fill(to + own * channels, to + phase.width, 0.0f);
    }
  }
}

ffi::Error grouped_dx_call(ffi::ThreadPool threads, Array kernel, Array dy, Result dx, int64_t stride, int64_t top,
                           int64_t left) {
  ShapeCheck check("input gradient of grouped convolution");
  const Grouped g = grouped_of(check, shape_of(*dx), shape_of(kernel), shape_of(dy), stride, top, left);
  if (check.failed()) return check.error();
  const Window& w = g.window;
  const std::vector<InputPhase> phases = phases_of(w, g.features);
  std::vector<Grouped> parts;
  std::vector<int64_t> begins{0};
  for (const InputPhase& phase : phases) {
    parts.push_back(bundled(
        {phase.window, g.images, g.groups, w.channels, w.height, w.width, phase.row, phase.column, stride, 0, 0}));
    begins.push_back(begins.back() + parts.back().bundles() * parts.back().kernel());
  }
  const Floats kernels(new float[begins.back()]);
  std::vector<Item> items;
  for (size_t n = 0; n < parts.size(); ++n) {
    const Grouped& part = parts[n];
    float* own = kernels.get() + begins[n];
    parallel_for(threads, part.bundles(), [&](int64_t bundle) {
      turn(part, phases[n].taps, kernel.typed_data(), bundle, own + bundle * part.kernel());
    });
    add_items(part, own, items);
  }
  run(threads, items, dy.typed_data(), dx->typed_data());
  return ffi::Error::Success();
}

ffi::Error grouped_dkernel_call(ffi::ThreadPool threads, Array x, Array dy, Result dkernel, int64_t stride,
                                int64_t top, int64_t left) {
  ShapeCheck check("kernel gradient of grouped convolution");
  const Grouped g = grouped_of(check, shape_of(x), shape_of(*dkernel), shape_of(dy), stride, top, left);
  if (check.failed()) return check.error();
  const Window& w = g.window;
  const int64_t pixels = g.images * w.out_height * w.out_width;
  float* out = dkernel->typed_data();
  if (pixels == 0) {
    std::fill(out, out + dkernel->element_count(), 0.0f);
    return ffi::Error::Success();
  }
  // A few bundles' images are shared out as well, and the shares' sums are added in order.
  const int64_t bundles = g.bundles();
  const int64_t shares = std::max<int64_t>(
      1, std::min({quotient_up(kFewestItems, bundles), g.images, quotient_up(pixels, kFewestPixels)}));
  const int64_t rows = rows_of(g);
  const Floats sums(new float[shares * bundles * g.kernel()]);
  parallel_for(threads, shares * bundles, [&](int64_t i) {
    const int64_t share = i / bundles, bundle = i % bundles;
    float* own = sums.get() + i * g.kernel();
    std::fill(own, own + g.kernel(), 0.0f);
    for (int64_t row = 0; row < w.out_height; row += rows) {
      const int64_t end = std::min(row + rows, w.out_height);
      grouped_kernels().dkernel(g, {bundle, g.images * share / shares, g.images * (share + 1) / shares, row, end},
                                x.typed_data(), dy.typed_data(), own, scratch(grouped_kernels().room(g, end - row)));
    }
  });
  const int64_t lines = g.taps() * w.channels, features = g.groups * g.features;
  parallel_for(threads, bundles, [&](int64_t bundle) {
    const Features own = features_of(g, bundle);
    for (int64_t n = 0; n < lines; ++n) {
      float* to = out + n * features + own.first;
      for (int64_t share = 0; share < shares; ++share) {
        const float* from = sums.get() + (share * bundles + bundle) * g.kernel() + n * g.width;
        for (int64_t f = 0; f < own.count; ++f) to[f] = share ? to[f] + from[f] : from[f];
      }
    }
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_grouped, grouped_call, window_call());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_grouped_dx, grouped_dx_call, window_call());
XLA_FFI_DEFINE_HANDLER_SYMBOL(scaling_search_grouped_dkernel, grouped_dkernel_call, window_call());

// Floats of a register.
extern "C" int64_t scaling_search_lanes() { return grouped_kernels().lanes; }

}  // namespace scaling_search
