// What travels in every comparison: a request whose words add up to its number, and a reply that
// carries the sum the server came to. So the server has to read every byte, and the client sees
// that it did.
#ifndef PARLEY_TESTS_BENCH_PAYLOAD_H_
#define PARLEY_TESTS_BENCH_PAYLOAD_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace parley_bench {

// Requests are of 64 bytes at least and of a multiple of it, so each reply is of min(N, 64).
struct Reply {
  uint64_t sum = 0;
  uint64_t rest[7] = {};
};
static_assert(sizeof(Reply) == 64);

// The sum that a reply carries, at any address.
inline uint64_t SumInReply(const void* reply) {
  Reply copy;
  std::memcpy(&copy, reply, sizeof(copy));
  return copy.sum;
}

// Adds up the 64-bit words, from any address. In a file of its own, so that no compiler sees what
// becomes of the result.
uint64_t Sum(const void* data, size_t bytes);

// Writes every byte of a request, as a client does that produces its data in place.
void Fill(void* data, size_t bytes, uint64_t number);

// A request whose data is ready: for peers that copy it from where it lies.
class Request {
 public:
  explicit Request(size_t bytes) : words_(bytes / sizeof(uint64_t)) {
    Fill(data(), bytes, number_);
  }

  // Writes one word only.
  void SetNumber(uint64_t number) {
    words_[0] += number - number_;
    number_ = number;
  }

  void* data() { return words_.data(); }
  size_t size() const { return words_.size() * sizeof(uint64_t); }

 private:
  std::vector<uint64_t> words_;
  uint64_t number_ = 0x5a;  // so that no word is 0
};

}  // namespace parley_bench

#endif  // PARLEY_TESTS_BENCH_PAYLOAD_H_
