// Matching the records of both sides of a message.
#include "kernel-sim/host/trace_messages.h"

#include <algorithm>
#include <cstdlib>
#include <tuple>

namespace parley::host {
namespace {

constexpr size_t kNoMessage = ~size_t{0};

std::tuple<uint64_t, uint16_t> NameOf(const TracedRecord& record) {
  return {record.record.value, record.record.place};
}

}  // namespace

void TraceMessages::Add(const TracedRecord& record) {
  auto [last, first] = last_.try_emplace(record.thread, kNoMessage);
  if (last->second != kNoMessage) {
    TracedMessage& before = messages_[last->second];
    before.next = std::min(before.next, record.begun);
  }
  switch (record.record.kind) {
    case RecordKind::kSend:
      if (last->second != kNoMessage) following_[last->second] = messages_.size();
      last->second = messages_.size();
      messages_.push_back({.sent = record, .received = {}, .replied = {}, .ended = {}});
      following_.push_back(kNoMessage);
      return;
    case RecordKind::kReceive:
    case RecordKind::kReply:
    case RecordKind::kAnswered:
    case RecordKind::kSendFailed:
      others_.push_back(record);
      return;
    default:
      return;
  }
}

// A connection's sequences repeat after 16 million sends: of those of one name, the nearest in
// time.
TracedMessage* TraceMessages::Find(const TracedRecord& record) {
  const auto key = std::tuple_cat(NameOf(record), std::tuple(record.ticks));
  auto key_of = [&](size_t i) {
    return std::tuple_cat(NameOf(messages_[i].sent), std::tuple(messages_[i].sent.ticks));
  };
  const auto after = std::lower_bound(by_name_.begin(), by_name_.end(), key,
                                      [&](size_t i, const auto& k) { return key_of(i) < k; });
  TracedMessage* nearest = nullptr;
  auto consider = [&](size_t i) {
    TracedMessage& message = messages_[i];
    if (NameOf(message.sent) != NameOf(record)) return;
    if (nearest == nullptr || std::abs(message.sent.ticks - record.ticks) <
                                  std::abs(nearest->sent.ticks - record.ticks)) {
      nearest = &message;
    }
  };
  if (after != by_name_.begin()) consider(*std::prev(after));
  if (after != by_name_.end()) consider(*after);
  return nearest;
}

std::vector<TracedMessage> TraceMessages::Match() {
  for (size_t i = 0; i < messages_.size(); ++i) by_name_.push_back(i);
  std::sort(by_name_.begin(), by_name_.end(), [&](size_t a, size_t b) {
    const TracedRecord &left = messages_[a].sent, &right = messages_[b].sent;
    return std::tuple_cat(NameOf(left), std::tuple(left.ticks, a)) <
           std::tuple_cat(NameOf(right), std::tuple(right.ticks, b));
  });
  for (const TracedRecord& record : others_) {
    TracedMessage* message = Find(record);
    const RecordKind kind = record.record.kind;
    if (kind == RecordKind::kReceive) {
      if (message == nullptr || message->received) {
        strays_.push_back(record);
      } else {
        message->received = record;
      }
    } else if (message != nullptr) {
      const bool own = record.thread == message->sent.thread;
      std::optional<TracedRecord>& place =
          kind == RecordKind::kReply ? message->replied : message->ended;
      if (!place && (kind == RecordKind::kReply || own)) place = record;
    }
  }
  // From the last of each thread back, so that a time brought forward moves those before it.
  for (size_t i = messages_.size(); i-- > 0;) {
    TracedMessage& message = messages_[i];
    if (message.received && message.received->record.state == kLookedLast) {
      message.received->ticks = std::max(message.received->ticks, message.sent.ticks + 1);
    }
    int64_t bound = message.next;
    if (following_[i] != kNoMessage) bound = std::min(bound, messages_[following_[i]].sent.ticks);
    for (std::optional<TracedRecord>* step :
         {&message.ended, &message.replied, &message.received}) {
      if (!*step) continue;
      if (step != &message.ended) (*step)->ticks = std::min((*step)->ticks, bound - 1);
      bound = std::min(bound, (*step)->ticks);
    }
    message.sent.ticks = std::min(message.sent.ticks, bound - 1);
  }
  return std::move(messages_);
}

}  // namespace parley::host
