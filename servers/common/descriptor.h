// A descriptor of the host's that closes itself.
#ifndef PARLEY_SERVERS_COMMON_DESCRIPTOR_H_
#define PARLEY_SERVERS_COMMON_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace common {

class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  bool valid() const { return number_ >= 0; }
  int number() const { return number_; }  // -1: none

 private:
  int number_;
};

}  // namespace common

#endif  // PARLEY_SERVERS_COMMON_DESCRIPTOR_H_
