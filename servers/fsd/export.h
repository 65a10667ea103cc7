// The part of the host's file system that fsd serves: files below one folder, and no way out of it.
#ifndef PARLEY_SERVERS_FSD_EXPORT_H_
#define PARLEY_SERVERS_FSD_EXPORT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace fsd {

// An open file descriptor; closed with it.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(other.number_) { other.number_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int number() const { return number_; }

 private:
  int number_;  // -1: none
};

// A regular file, open for reading.
class File {
 public:
  File(Descriptor descriptor, std::string path, uint64_t size_bytes)
      : descriptor_(std::move(descriptor)), path_(std::move(path)), size_bytes_(size_bytes) {}

  const std::string& path() const { return path_; }
  uint64_t size_bytes() const { return size_bytes_; }  // when it was opened

  // Reads at `offset` until `bytes` is full or the file ends; returns how many bytes. kOutOfRange:
  // an offset that no file can have. kInternal: the host could not read; the text says why.
  absl::StatusOr<uint64_t> ReadAt(uint64_t offset, absl::Span<std::byte> bytes) const;

 private:
  Descriptor descriptor_;
  std::string path_;
  uint64_t size_bytes_;
};

// Paths are relative to the exported folder; neither "..", nor an absolute path, nor a symbolic
// link leads out of it (the host's kernel sees to it, step by step, so there is no race to win).
// Errors name the path and the cause.
class Export {
 public:
  // kNotFound, kInvalidArgument: no such folder.
  static absl::StatusOr<Export> Make(const std::string& root);

  // kNotFound: no such file. kPermissionDenied: the path leads out, or the host forbids it.
  // kInvalidArgument: not a regular file, or an empty path.
  absl::StatusOr<File> Open(std::string_view path) const;

 private:
  explicit Export(Descriptor root) : root_(std::move(root)) {}
  Descriptor root_;
};

}  // namespace fsd

#endif  // PARLEY_SERVERS_FSD_EXPORT_H_
