// A descriptor of the host's that closes itself.
#ifndef PARLEY_SERVERS_FUSED_DESCRIPTOR_H_
#define PARLEY_SERVERS_FUSED_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace fused {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  int get() const { return number_; }  // negative: none

 private:
  int number_;
};

}  // namespace fused

#endif  // PARLEY_SERVERS_FUSED_DESCRIPTOR_H_
