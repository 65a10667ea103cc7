// What tests of resource managers share: a manager, a client, and how they fail.
#ifndef PARLEY_TESTS_CONFORMANCE_FILES_H_
#define PARLEY_TESTS_CONFORMANCE_FILES_H_

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "ipc/file.h"
#include "ipc/file_server.h"
#include "ipc/resource_manager.h"
#include "tests/conformance/any_kernel.h"

namespace tests::conformance {

inline std::string ReadText(const ipc::File& file, size_t room = 64) {
  std::string text(room, '\0');
  const auto count = file.Read({reinterpret_cast<std::byte*>(text.data()), text.size()});
  CHECK_MESSAGE(count.ok(), count.status());
  text.resize(count.value_or(0));
  return text;
}

// Of a status, or of what holds one.
template <typename Result>
int ErrnoOf(const Result& result) {
  if constexpr (std::is_same_v<Result, absl::Status>) {
    return ipc::PosixErrorOf(result);
  } else {
    return ipc::PosixErrorOf(result.status());
  }
}

// A service that makes one and runs it.
inline Actor Serving(auto make, const char* path, uint32_t mode) {
  return {.name = "manager",
          .main =
              [=](ipc::Process& self) {
                auto manager = make();
                return manager.Run(self, path, std::make_shared<ipc::Node>(mode));
              },
          .service = true};
}
inline Actor Client(std::function<void(ipc::Process&)> body, const char* name = "client") {
  return {.name = name, .main = [=](ipc::Process& self) {
            body(self);
            return 0;
          }};
}
// A program that is to end by itself, with this status.
inline Actor Ending(int (*main)(ipc::Process&), int status, std::vector<std::string> arguments) {
  return {.name = "ending",
          .main = [=](ipc::Process& self) { return main(self) == status ? 0 : 1; },
          .arguments = std::move(arguments)};
}

}  // namespace tests::conformance

#endif  // PARLEY_TESTS_CONFORMANCE_FILES_H_
