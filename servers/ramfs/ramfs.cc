// ramfs: what it is asked to serve, and how much.
#include "servers/ramfs/ramfs.h"

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "servers/ramfs/tree.h"

namespace ramfs {
namespace {

constexpr uint64_t kDefaultMib = 256, kMostMib = 1 << 20;

}  // namespace

int Main(ipc::Process& self) {
  const std::vector<std::string>& arguments = self.arguments();
  uint64_t mib = kDefaultMib;
  const std::string option = arguments.size() == 2 ? arguments[1] : "";
  absl::string_view number = option;
  const bool sane =
      arguments.size() == 1 || (absl::ConsumePrefix(&number, "--mib=") &&
                                absl::SimpleAtoi(number, &mib) && mib >= 1 && mib <= kMostMib);
  if (!sane) {
    std::fprintf(stderr, "usage: ramfs NAME [--mib=N], from 1 to %lu\n",
                 static_cast<unsigned long>(kMostMib));
    return 2;
  }
  Tree tree(mib << 20);
  return tree.Run(self, arguments[0], tree.MakeRoot());
}

}  // namespace ramfs
