// The forks and those who eat with them. See philosophers.h.
#include "apps/philosophers/philosophers.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "ipc/channel.h"
#include "ipc/connection.h"
#include "ipc/message.h"
#include "ipc/typed.h"

namespace philosophers {
namespace {

// Answered when the fork is the sender's.
struct Take {
  static constexpr ipc::MessageType kType{.code = 1, .version = 1};
  uint32_t philosopher = 0;
};
struct Put {
  static constexpr ipc::MessageType kType{.code = 2, .version = 1};
};
struct Done {
  static constexpr ipc::MessageType kType{.code = 3, .version = 1};
};

constexpr absl::Duration kThinking = absl::Microseconds(20);
constexpr absl::Duration kReaching = absl::Microseconds(25);  // from one fork to the other
constexpr absl::Duration kEating = absl::Microseconds(30);

// They come to the table one after the other, when all forks are there.
constexpr absl::Duration kDinner = absl::Milliseconds(1);  // since the kernel's start
constexpr absl::Duration kGap = absl::Microseconds(40);

std::string ForkName(uint32_t number) { return absl::StrCat("/fork/", number); }

}  // namespace

int Fork(ipc::Process& self) {
  uint32_t number = 0;
  if (self.arguments().size() != 1 || !absl::SimpleAtoi(self.arguments()[0], &number)) return 2;
  auto channel = self.Attach(ForkName(number));
  if (!channel.ok()) return 1;
  bool taken = false;
  std::optional<ipc::Message> waiting;  // of the only other philosopher who reaches this fork
  for (;;) {
    auto received = channel->Receive();
    if (!received.ok()) return 0;
    ipc::Message* message = received->message();
    if (message == nullptr) continue;
    if (message->Is<Put>()) {
      message->Reply(Done{}).IgnoreError();
      taken = waiting.has_value();
      if (waiting) std::exchange(waiting, std::nullopt)->Reply(Done{}).IgnoreError();
    } else if (message->As<Take>().ok()) {
      if (taken) {
        waiting = std::move(*message);
      } else {
        taken = true;
        message->Reply(Done{}).IgnoreError();
      }
    }
  }
}

int Philosopher(ipc::Process& self) {
  const auto& arguments = self.arguments();
  uint32_t number = 0, count = 0, meals = 0;
  if (arguments.size() != 4 || !absl::SimpleAtoi(arguments[0], &number) ||
      !absl::SimpleAtoi(arguments[1], &count) || !absl::SimpleAtoi(arguments[2], &meals) ||
      count < 2 || number >= count) {
    return 2;
  }
  uint32_t first = number, second = (number + 1) % count;
  if (arguments[3] == "ordered" && second < first) std::swap(first, second);
  auto one = self.Open(ForkName(first), absl::InfiniteDuration());
  auto other = self.Open(ForkName(second), absl::InfiniteDuration());
  if (!one.ok() || !other.ok()) return 1;
  if (!self.Sleep(absl::UnixEpoch() + kDinner + number * kGap).ok()) return 1;
  for (uint32_t meal = 0; meal < meals; ++meal) {
    self.Compute(kThinking);
    if (!one->Call<Done>(Take{number}).ok()) return 1;
    self.Compute(kReaching);
    if (!other->Call<Done>(Take{number}).ok()) return 1;
    self.Compute(kEating);
    if (!other->Call<Done>(Put{}).ok() || !one->Call<Done>(Put{}).ok()) return 1;
    self.Count("meals", 1);
  }
  return 0;
}

}  // namespace philosophers
