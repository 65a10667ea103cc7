// Tests of servers/fsd/device.h.
#include <doctest/doctest.h>

#include <vector>

#include "servers/fsd/device.h"

namespace fsd {
namespace {

constexpr uint64_t kBytesPerSecond = 1'000'000;  // a byte takes a microsecond

TEST_CASE("a transfer takes as long as its bytes need") {
  Device device(kBytesPerSecond);
  CHECK_FALSE(device.next_done_ns().has_value());
  device.Submit(1, 10, 100, 5'000);
  CHECK(device.next_done_ns() == 105'000);
  CHECK_FALSE(device.TakeDone(104'999).has_value());
  CHECK(device.TakeDone(105'000) == 1u);
  CHECK_FALSE(device.next_done_ns().has_value());
}

TEST_CASE("transfers follow each other without a gap, however late somebody looks") {
  Device device(kBytesPerSecond);
  device.Submit(1, 10, 100, 0);
  device.Submit(2, 10, 50, 0);
  CHECK(device.TakeDone(900'000) == 1u);
  CHECK(device.next_done_ns() == 150'000);
  CHECK(device.TakeDone(900'000) == 2u);
  CHECK_FALSE(device.TakeDone(900'000).has_value());
}

TEST_CASE("a higher priority overtakes those that wait but not the one under way") {
  Device device(kBytesPerSecond);
  device.Submit(1, 10, 10, 0);
  device.Submit(2, 10, 10, 0);
  device.Submit(3, 20, 10, 0);
  device.Submit(4, 20, 10, 0);
  std::vector<uint64_t> order;
  while (const auto ticket = device.TakeDone(1'000'000)) order.push_back(*ticket);
  CHECK(order == std::vector<uint64_t>{1, 3, 4, 2});
}

TEST_CASE("a device that takes no time is done at once, in order of priority") {
  Device device(0);
  device.Submit(1, 10, uint64_t{1} << 40, 77);
  CHECK(device.next_done_ns() == 77);
  CHECK(device.TakeDone(77) == 1u);
}

TEST_CASE("the largest message on the slowest device has a time without overflow") {
  Device device(1);
  device.Submit(1, 10, uint64_t{1} << 30, 0);
  CHECK(device.next_done_ns() == (int64_t{1} << 30) * 1'000'000'000);
}

}  // namespace
}  // namespace fsd
