// The manager of devices: hands each operation to its node.
#include "servers/devices/devices.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "servers/devices/nodes.h"

namespace devices {

absl::StatusOr<uint64_t> Zero::Read(ipc::MutableBytes bytes) {
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  return bytes.size();
}

absl::StatusOr<uint64_t> Random::Read(ipc::MutableBytes bytes) {
  if (absl::Status filled = source_.Fill(bytes); !filled.ok()) return filled;
  return bytes.size();
}

namespace {

class Manager : public ipc::ResourceManager {
  absl::StatusOr<uint64_t> Read(ipc::FileCall& call, ipc::OpenFile& file, uint64_t offset,
                                ipc::MutableBytes bytes) override {
    bytes = bytes.subspan(0, kMaxTransferBytes);
    if (auto* device = dynamic_cast<Device*>(&file.node())) return device->Read(bytes);
    auto* pipe = dynamic_cast<PipeFile*>(&file);
    if (pipe == nullptr) return ResourceManager::Read(call, file, offset, bytes);
    auto count = pipe->pipe.Read(pipe->end, bytes);
    if (count.value_or(0) > 0) Wake(file.node());
    return count;
  }

  // What is written to a device without an other side is taken and forgotten.
  absl::StatusOr<uint64_t> Write(ipc::FileCall&, ipc::OpenFile& file, uint64_t,
                                 ipc::ConstBytes bytes) override {
    auto* pipe = dynamic_cast<PipeFile*>(&file);
    if (pipe == nullptr) return bytes.size();
    auto count = pipe->pipe.Write(pipe->end, bytes);
    if (count.value_or(0) > 0) Wake(file.node());
    return count;
  }

  uint32_t Poll(ipc::OpenFile& file) override {
    auto* pipe = dynamic_cast<PipeFile*>(&file);
    if (pipe == nullptr) return ResourceManager::Poll(file);
    return (pipe->pipe.IsReadable(pipe->end) ? ipc::files::kReadable : 0) |
           (pipe->pipe.IsWritable(pipe->end) ? ipc::files::kWritable : 0);
  }

  absl::StatusOr<std::shared_ptr<ipc::OpenFile>> Open(ipc::FileCall& call,
                                                      std::shared_ptr<ipc::Node> node,
                                                      uint32_t flags) override {
    auto pipe = std::dynamic_pointer_cast<PipeNode>(node);
    if (pipe == nullptr) return ResourceManager::Open(call, std::move(node), flags);
    const uint32_t access = flags & O_ACCMODE;
    const Pipe::End end = pipe->pipe.Open(access != O_WRONLY, access != O_RDONLY);
    Wake(*pipe);
    return std::make_shared<PipeFile>(std::move(pipe), end);
  }

  void Close(ipc::OpenFile& file) override {
    auto* pipe = dynamic_cast<PipeFile*>(&file);
    if (pipe == nullptr) return;
    pipe->pipe.Close(pipe->end);
    Wake(file.node());
  }

  // -- The folder of pipes, the only directory

  absl::StatusOr<std::shared_ptr<ipc::Node>> Lookup(ipc::Node& directory,
                                                    absl::string_view name) override {
    const auto& pipes = dynamic_cast<PipeFolder&>(directory).pipes;
    const auto found = pipes.find(name);
    if (found == pipes.end()) return ipc::PosixError(ENOENT);
    return found->second;
  }

  absl::StatusOr<std::shared_ptr<ipc::Node>> Create(ipc::FileCall&, ipc::Node& directory,
                                                    absl::string_view name, uint32_t mode,
                                                    absl::string_view) override {
    // An open with O_CREAT asks for a regular file, mkfifo for a pipe.
    if (!S_ISREG(mode) && !S_ISFIFO(mode)) return ipc::PosixError(EPERM, "only pipes are here");
    auto& pipes = dynamic_cast<PipeFolder&>(directory).pipes;
    if (pipes.size() >= PipeFolder::kMaxPipes) return ipc::PosixError(ENOSPC);
    auto node = std::make_shared<PipeNode>(mode & 0777);
    pipes.emplace(name, node);
    return node;
  }

  absl::StatusOr<std::vector<ipc::DirectoryEntry>> List(ipc::Node& directory) override {
    std::vector<ipc::DirectoryEntry> entries;
    for (const auto& [name, node] : dynamic_cast<PipeFolder&>(directory).pipes) {
      entries.push_back({name, node->stat.inode, node->stat.mode});
    }
    return entries;
  }

  // Who has it open goes on with it.
  absl::Status Unlink(ipc::Node& directory, absl::string_view name, bool) override {
    auto& pipes = dynamic_cast<PipeFolder&>(directory).pipes;
    pipes.erase(pipes.find(name));
    return absl::OkStatus();
  }
};

// Nothing: not understood.
std::optional<RandomSource> SourceFor(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return RandomSource();
  absl::string_view number = arguments[0];
  uint64_t seed = 0;
  if (arguments.size() > 1 || !absl::ConsumePrefix(&number, "--seed=") ||
      !absl::SimpleAtoi(number, &seed)) {
    return std::nullopt;
  }
  return RandomSource(seed);
}

}  // namespace

int Main(ipc::Process& self) {
  auto source = SourceFor(self.arguments());
  if (!source) {
    std::fprintf(stderr, "usage: devices [--seed=N]\n");
    return 2;
  }
  Manager manager;
  return manager.Run(self, {{"/dev/null", std::make_shared<Null>()},
                            {"/dev/zero", std::make_shared<Zero>()},
                            {"/dev/random", std::make_shared<Random>(*std::move(source))},
                            {"/dev/pipe", std::make_shared<PipeFolder>()}});
}

}  // namespace devices
