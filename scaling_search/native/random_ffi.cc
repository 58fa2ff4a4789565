// What XLA calls for the random decisions of dropout and stochastic depth: those of jax.random. XLA's own take a loop
// of small operations each.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "parallel.h"
#include "shapes.h"
#include "xla/ffi/api/ffi.h"

namespace scaling_search {
namespace {

using Words = ffi::Buffer<ffi::U32>;

// Counters at once, in a register that any CPU has.
constexpr int64_t kAtOnce = 4;
typedef uint32_t Quad __attribute__((vector_size(4 * kAtOnce)));
typedef float QuadFloat __attribute__((vector_size(4 * kAtOnce)));

struct Key {
  uint32_t first, second;
};

template <int kBy, class Word>
void mix(Word& first, Word& second) {
  first += second;
  second = ((second << kBy) | (second >> (32 - kBy))) ^ first;
}

// Threefry-2x32 with 20 rounds (Salmon et al., 2011), of one counter or several.
template <class Word>
void threefry(Key key, Word& first, Word& second) {
  const uint32_t keys[3] = {key.first, key.second, key.first ^ key.second ^ 0x1BD11BDA};
  first += keys[0], second += keys[1];
  for (uint32_t group = 1; group <= 5; ++group) {
    if (group % 2 == 1) {
      mix<13>(first, second), mix<15>(first, second), mix<26>(first, second), mix<6>(first, second);
    } else {
      mix<17>(first, second), mix<29>(first, second), mix<16>(first, second), mix<24>(first, second);
    }
    first += keys[group % 3], second += keys[(group + 1) % 3] + group;
  }
}

// jax.random.fold_in.
Key folded(Key key, uint32_t count) {
  uint32_t first = 0, second = count;
  threefry(key, first, second);
  return {first, second};
}

// 1 / share where a number of [0, 1), as jax.random.uniform makes it of a word, is less than the share, else 0.
QuadFloat weights_of(Quad words, float share) {
  const Quad bits = (words >> 9) | 0x3F800000;
  QuadFloat numbers;
  std::memcpy(&numbers, &bits, sizeof(numbers));
  const auto yes = numbers - 1 < share;
  const QuadFloat all = QuadFloat{} + 1 / share;
  Quad some;
  std::memcpy(&some, &all, sizeof(some));
  some &= (Quad)yes;
  std::memcpy(&numbers, &some, sizeof(numbers));
  return numbers;
}

// Of so many decisions with probability `share`, 1 / share for yes and 0 for no.
ffi::Error kept_call(ffi::ThreadPool threads, Words key, Words count, Result weights, float share) {
  ShapeCheck check("dropout");
  check.require(key.element_count() == 2 && count.element_count() == 1, "needs a key of two words and a count");
  check.require(weights->element_count() <= UINT32_MAX, "too many decisions");
  if (check.failed()) return check.error();
  const Key own = folded({key.typed_data()[0], key.typed_data()[1]}, count.typed_data()[0]);
  const auto all = static_cast<int64_t>(weights->element_count());
  float* const out = weights->typed_data();
  parallel_for(threads, quotient_up(all, kItemFloats), [&](int64_t item) {
    const int64_t end = std::min((item + 1) * kItemFloats, all);
    for (int64_t begin = item * kItemFloats; begin < end; begin += kAtOnce) {
      Quad first{}, second = Quad{0, 1, 2, 3} + static_cast<uint32_t>(begin);
      threefry(own, first, second);
      const QuadFloat decided = weights_of(first ^ second, share);
      std::memcpy(out + begin, &decided, std::min(kAtOnce, end - begin) * sizeof(float));
    }
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    scaling_search_kept, kept_call,
    ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Words>().Arg<Words>().Ret<Array>().Attr<float>("share"));

}  // namespace scaling_search
