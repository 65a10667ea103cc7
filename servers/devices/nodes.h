// What the manager of devices serves: each device is a node that knows how to be read and written.
#ifndef PARLEY_SERVERS_DEVICES_NODES_H_
#define PARLEY_SERVERS_DEVICES_NODES_H_

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "ipc/resource_manager.h"
#include "servers/devices/pipe.h"
#include "servers/devices/random_source.h"

namespace devices {

// What one read or write moves at most, so that nobody waits long behind a large one.
inline constexpr size_t kMaxTransferBytes = 1 << 20;

// A device that needs no state for each open file.
class Device : public ipc::Node {
 public:
  Device() : Node(S_IFCHR | 0666) {}
  virtual absl::StatusOr<uint64_t> Read(ipc::MutableBytes bytes) = 0;
};

// The end of every file.
class Null : public Device {
 public:
  absl::StatusOr<uint64_t> Read(ipc::MutableBytes) override { return 0; }
};

class Zero : public Device {
 public:
  absl::StatusOr<uint64_t> Read(ipc::MutableBytes bytes) override;
};

class Random : public Device {
 public:
  explicit Random(RandomSource source) : source_(std::move(source)) {}
  absl::StatusOr<uint64_t> Read(ipc::MutableBytes bytes) override;

 private:
  RandomSource source_;
};

// One in the folder of pipes, or unlinked but open still.
class PipeNode : public ipc::Node {
 public:
  explicit PipeNode(uint32_t permissions) : Node(S_IFIFO | permissions) {}
  Pipe pipe;
};

// An open pipe.
class PipeFile : public ipc::OpenFile {
 public:
  PipeFile(std::shared_ptr<PipeNode> node, const Pipe::End& its_end)
      : OpenFile(node), end(its_end), pipe(node->pipe) {}
  const Pipe::End end;
  Pipe& pipe;
};

// The folder that named pipes are made in; sticky, as /tmp is.
class PipeFolder : public ipc::Node {
 public:
  static constexpr size_t kMaxPipes = 256;  // then ENOSPC

  PipeFolder() : Node(S_IFDIR | S_ISVTX | 0777) {}
  std::map<std::string, std::shared_ptr<PipeNode>, std::less<>> pipes;
};

}  // namespace devices

#endif  // PARLEY_SERVERS_DEVICES_NODES_H_
