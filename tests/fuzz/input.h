// What libFuzzer made up, byte by byte. Past its end all bytes are 0.
#ifndef PARLEY_TESTS_FUZZ_INPUT_H_
#define PARLEY_TESTS_FUZZ_INPUT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace parley::host {

class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool empty() const { return at_ >= size_; }
  uint8_t Byte() { return empty() ? 0 : data_[at_++]; }
  std::string Bytes(size_t count) {
    std::string bytes(count, '\0');
    for (char& byte : bytes) byte = static_cast<char>(Byte());
    return bytes;
  }
  // Mostly a value at the edge of what is checked somewhere, else eight bytes of the input.
  uint64_t Word() {
    constexpr std::array<uint64_t, 20> kEdges = {0,
                                                 1,
                                                 2,
                                                 16,
                                                 17,
                                                 48,
                                                 49,
                                                 1023,
                                                 1024,
                                                 1025,
                                                 4095,
                                                 4096,
                                                 4097,
                                                 8192,
                                                 1 << 20,
                                                 1 << 30,
                                                 (1 << 30) + 1,
                                                 0xffffffff,
                                                 ~uint64_t{0} >> 1,
                                                 ~uint64_t{0}};
    const uint8_t choice = Byte();
    if (choice < kEdges.size()) return kEdges.at(choice);
    uint64_t word = 0;
    for (int i = 0; i < 8; ++i) word = word << 8 | Byte();
    return word;
  }

 private:
  const uint8_t* data_;
  size_t size_, at_ = 0;
};

}  // namespace parley::host

#endif  // PARLEY_TESTS_FUZZ_INPUT_H_
