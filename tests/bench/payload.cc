// Writing and reading requests.
#include "tests/bench/payload.h"

namespace parley_bench {
namespace {

// Two words that the compiler adds with one instruction.
using Pair = uint64_t __attribute__((vector_size(16)));

constexpr size_t kStep = 4 * sizeof(Pair);  // of which a request is a multiple

Pair LoadPair(const std::byte* from) {
  Pair pair;
  std::memcpy(&pair, from, sizeof(pair));
  return pair;
}

}  // namespace

uint64_t Sum(const void* data, size_t bytes) {
  const auto* from = static_cast<const std::byte*>(data);
  // Several sums at once: the next load waits for no addition.
  Pair a = {}, b = {}, c = {}, d = {};
  for (const std::byte* end = from + bytes / kStep * kStep; from != end; from += kStep) {
    a += LoadPair(from);
    b += LoadPair(from + sizeof(Pair));
    c += LoadPair(from + 2 * sizeof(Pair));
    d += LoadPair(from + 3 * sizeof(Pair));
  }
  const Pair sum = (a + b) + (c + d);
  return sum[0] + sum[1];
}

void Fill(void* data, size_t bytes, uint64_t number) {
  // Another byte for each number, so that what is left from the last request shows.
  const uint64_t byte = number % 256;
  std::memset(data, static_cast<int>(byte), bytes);
  const uint64_t others = bytes / sizeof(uint64_t) - 1;
  const uint64_t first = number - others * (byte * 0x0101010101010101u);
  std::memcpy(data, &first, sizeof(first));
}

}  // namespace parley_bench
