// Several reads of one message that are under way together: of one regular file into one region,
// each from an offset of its own, so that it does not matter which of them the device makes first.
// Their results are told in order, up to the first that has failed.
#include <cerrno>
#include <limits>
#include <utility>

#include "libipc/src/resource_locks.h"
#include "libipc/src/resource_server.h"

namespace ipc {
namespace {

constexpr uint64_t kMostOffset = std::numeric_limits<int64_t>::max();  // kPosition is beyond

}  // namespace

size_t ResourceServer::CountPieces(const ResourceExchange& exchange, const OpenFile& file) {
  const absl::Span<const files::Operation> ahead = exchange.ahead();
  const files::Operation& first = ahead[0];
  if (!S_ISREG(file.node().stat.mode) || first.region == files::kNoRegion) return 0;
  size_t count = 0;
  while (count < ahead.size() && ahead[count].verb == files::Verb::kRead &&
         ahead[count].region == first.region && ahead[count].file == first.file &&
         ahead[count].offset <= kMostOffset) {
    ++count;
  }
  return count;
}

absl::Status ResourceServer::DoPieces(Exchange& owned, const std::shared_ptr<OpenFile>& file,
                                      MutableBytes range, size_t count) {
  ResourceExchange& exchange = *owned;
  Pieces pieces;
  pieces.reserve(count);
  for (const files::Operation& operation : exchange.ahead().first(count)) {
    if (operation.value > range.size()) break;  // it fails when the others are done
    pieces.push_back({.call = CallFor(exchange),
                      .offset = operation.offset,
                      .bytes = range.subspan(operation.value, operation.length)});
  }
  if (pieces.empty()) return PosixError(EINVAL);
  Busy busy(*this, file->node());
  const uint64_t wakes = WakesOf(file->node());
  manager_.ReadPieces(*file, absl::MakeSpan(pieces));
  size_t deferred = 0;
  for (const ReadPiece& piece : pieces) deferred += piece.call.deferred_ ? 1 : 0;
  if (deferred == 0) return WaitUnless(exchange, *file, wakes, EndPieces(exchange, *file, pieces));
  const auto together = std::make_shared<Together>();
  together->exchange = std::move(owned);
  together->file = file;
  together->pieces = std::move(pieces);
  together->left = deferred;
  Tables tables(*this);
  for (size_t i = 0; i < together->pieces.size(); ++i) {
    const FileCall& call = together->pieces[i].call;
    if (!call.deferred_) continue;
    Pending& pending = pending_[call.id_];
    pending.together = together;
    pending.piece = i;
    if (pending.result) finished_.push_back(call.id_);
  }
  return PosixError(EINPROGRESS);
}

// All of them have been finished. The error of the first that has failed, at which the exchange
// stands then.
absl::Status ResourceServer::EndPieces(ResourceExchange& exchange, OpenFile& file,
                                       const Pieces& pieces) {
  file.node().stat.accessed_ns = WallNs();
  for (const ReadPiece& piece : pieces) {
    if (!piece.count.ok()) return piece.count.status();
    exchange.Succeed({.value = *piece.count});
  }
  return absl::OkStatus();
}

void ResourceServer::EndPiece(Pending pending) {
  const std::shared_ptr<Together> together = std::move(pending.together);
  {
    Tables tables(*this);
    together->pieces[pending.piece].count = *std::move(pending.result);
    if (--together->left > 0) return;
  }
  Exchange exchange = std::move(together->exchange);
  const absl::Status ended = EndPieces(*exchange, *together->file, together->pieces);
  if (!ended.ok()) exchange->Fail(PosixErrorOf(ended));
  Go(std::move(exchange));
}

}  // namespace ipc
