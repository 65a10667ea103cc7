// What the processes of a world hold of Linux: to compare before and after.
//
// Called by a process of the world: its parent is the launcher, and that one's child with an
// io_uring is the broker.
#ifndef PARLEY_TESTS_HOST_LEFTOVERS_H_
#define PARLEY_TESTS_HOST_LEFTOVERS_H_

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace parley::host::tests {

struct Holding {
  size_t descriptors = 0;
  std::map<std::string, int> mappings;  // by what the broker calls the memory
  friend bool operator==(const Holding&, const Holding&) = default;
};
using Leftovers = std::map<pid_t, Holding>;

inline size_t CountDescriptors(pid_t process) {
  size_t count = 0;
  DIR* open = opendir(absl::StrCat("/proc/", process, "/fd").c_str());
  while (open != nullptr && readdir(open) != nullptr) ++count;
  if (open != nullptr) closedir(open);
  return count;
}

inline std::map<std::string, int> CountMappings(pid_t process) {
  std::ifstream maps(absl::StrCat("/proc/", process, "/maps"));
  std::map<std::string, int> counts;
  for (std::string line; std::getline(maps, line);) {
    // Of farewells and of what tests share, neighbours may be shown as one.
    const size_t name = line.find("/memfd:parley");
    if (name != line.npos) ++counts[line.substr(name)];
  }
  return counts;
}
inline std::string TextOf(const Holding& holding) {
  std::string text = absl::StrCat(holding.descriptors, " descriptors");
  for (const auto& [name, count] : holding.mappings) absl::StrAppend(&text, ", ", count, " ", name);
  return text;
}

inline std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::ifstream list(absl::StrCat("/proc/", parent, "/task/", parent, "/children"));
  return {std::istream_iterator<pid_t>(list), std::istream_iterator<pid_t>()};
}
inline bool HasRing(pid_t process) {
  for (int fd = 3; fd < 16; ++fd) {
    char file[64] = {};
    const std::string path = absl::StrCat("/proc/", process, "/fd/", fd);
    if (readlink(path.c_str(), file, sizeof(file) - 1) > 0 && absl::StrContains(file, "io_uring")) {
      return true;
    }
  }
  return false;
}
// 0: none has come up within 10 s.
inline pid_t BrokerOfThisWorld() {
  for (int i = 0; i < 10'000; ++i) {
    for (pid_t child : ChildrenOf(getppid())) {
      if (HasRing(child)) return child;
    }
    usleep(1000);
  }
  return 0;
}
// False: there was none.
inline bool KillTheBroker() {
  const pid_t broker = BrokerOfThisWorld();
  return broker > 0 && kill(broker, SIGKILL) == 0;
}

// Of the launcher, the broker (as 0, whichever it is), and every process of the world.
inline Leftovers CountLeftovers() {
  std::vector<pid_t> processes = ChildrenOf(getppid());
  const pid_t broker = BrokerOfThisWorld();
  processes.push_back(getppid());
  Leftovers left;
  for (pid_t process : processes) {
    left[process == broker ? 0 : process] = {CountDescriptors(process), CountMappings(process)};
  }
  return left;
}

inline std::string Difference(const Leftovers& before, const Leftovers& after) {
  std::string text;
  for (const auto& [process, holding] : after) {
    const auto was = before.find(process);
    if (was == before.end()) {
      absl::StrAppend(&text, "process ", process, " is left; ");
    } else if (was->second != holding) {
      absl::StrAppend(&text, "process ", process, " has ", TextOf(holding), ", had ",
                      TextOf(was->second), "; ");
    }
  }
  for (const auto& [process, holding] : before) {
    if (!after.contains(process)) absl::StrAppend(&text, "process ", process, " has gone; ");
  }
  return text;
}

// The abstract name that a process listens on, as Linux shows it; empty if it does not.
inline std::string ListensOn(pid_t process) {
  char socket[64] = {};
  // A broker's first descriptor but the standard ones (launcher.cc).
  if (readlink(absl::StrCat("/proc/", process, "/fd/3").c_str(), socket, sizeof(socket) - 1) < 0) {
    return "";
  }
  std::string inode = std::string(socket).substr(std::string_view("socket:[").size());
  inode.pop_back();  // ]
  std::ifstream sockets("/proc/net/unix");
  for (std::string line; std::getline(sockets, line);) {
    const size_t name = line.find('@');
    if (name == std::string::npos) continue;
    if (absl::StrContains(line, absl::StrCat(" ", inode, " "))) {
      return line.substr(name);
    }
  }
  return "";
}
inline bool IsListenedTo(const std::string& address) {
  std::ifstream sockets("/proc/net/unix");
  for (std::string line; std::getline(sockets, line);) {
    if (absl::StrContains(line, address)) return true;
  }
  return false;
}

}  // namespace parley::host::tests

#endif  // PARLEY_TESTS_HOST_LEFTOVERS_H_
