// From records to one trace.
#include "kernel-sim/host/trace_merge.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

namespace parley::host {
namespace {

uint64_t ThreadKey(ProcessId process, uint32_t thread) {
  return uint64_t{Raw(process)} << 32 | thread;
}

std::string_view TextOf(const TraceName& name) {
  return {name.text.data(), std::min<size_t>(name.bytes, name.text.size())};
}

// The text that follows ring[at], as far as it is there.
std::string TextAfter(const std::vector<TraceRecord>& ring, size_t at) {
  std::string text;
  const size_t bytes = std::min<size_t>(ring[at].extra, kMostTextBytes);
  for (++at; text.size() < bytes && at < ring.size(); ++at) {
    if (ring[at].kind != RecordKind::kText) break;
    const char* begin = reinterpret_cast<const char*>(&ring[at]) + kTextOffset;
    text.append(begin, std::min(kTextBytes, bytes - text.size()));
  }
  return Legible(text);
}

// How many bytes of valid UTF-8 begin the text; 0 if none.
size_t SequenceSize(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7f ? 1 : 0;
  const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Not the shortest form, a surrogate, or past the last code point.
  const unsigned next = byte(1);
  if ((lead == 0xe0 && next < 0xa0) || (lead == 0xed && next > 0x9f)) return 0;
  if ((lead == 0xf0 && next < 0x90) || (lead == 0xf4 && next > 0x8f)) return 0;
  return size;
}

}  // namespace

std::string Legible(std::string_view text) {
  std::string legible;
  while (!text.empty()) {
    const size_t size = SequenceSize(text);
    legible += size == 0 ? "?" : text.substr(0, size);
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  return legible;
}

// -- What the processes leave

// Another process may still write there, such as one that this one has forked: each word is read
// once.
void TraceMerge::Add(ProcessId process, std::string_view name, const TraceArea& area) {
  Recorded& added = recorded_.emplace_back();
  added.process = process;
  added.name = Legible(name);
  added.nameless = area.nameless;
  added.ringless = area.ringless;
  const size_t names = std::min<size_t>(area.names_used, kMostNames);
  added.names.assign(area.names.begin(), area.names.begin() + names);
  const size_t rings = std::min<size_t>(area.rings_used, kMostRings);
  for (size_t i = 0; i < rings; ++i) {
    const TraceRing& ring = area.rings[i];
    const uint64_t written = ring.written.load();
    if (written == 0) continue;
    std::vector<TraceRecord>& copy = added.rings.emplace_back();
    const auto begin = ring.records.begin();
    if (written <= kRingRecords) {
      copy.assign(begin, begin + written);
      continue;
    }
    added.overwritten += written - kRingRecords;
    const auto oldest = begin + written % kRingRecords;
    copy.assign(oldest, ring.records.end());
    copy.insert(copy.end(), begin, oldest);
  }
}

void TraceMerge::AddExit(ProcessId process, const ExitStatus& status, uint64_t ticks) {
  exits_.push_back({process, status, ticks});
}

std::vector<std::string> TraceMerge::notes() const {
  std::vector<std::string> notes;
  auto add = [&](const Recorded& of, const auto&... what) {
    notes.push_back(absl::StrCat("trace: process ", of.name, ": ", what...));
  };
  for (const Recorded& of : recorded_) {
    if (of.overwritten > 0) {
      add(of, of.overwritten, " records were overwritten: a thread keeps its last ", kRingRecords,
          "; a shorter run keeps all");
    }
    if (of.ringless > 0) {
      add(of, of.ringless, " threads were left out: at most ", kMostRings - 1,
          " at a time are traced");
    }
    if (of.nameless > 0) {
      add(of, of.nameless, " threads and channels were left out: ", kMostNames,
          " are known in its life");
    }
    if (of.senseless > 0) add(of, of.senseless, " records make no sense, and were left out");
  }
  return notes;
}

// -- Names

void TraceMerge::TellNames(TraceSink& sink) {
  std::sort(recorded_.begin(), recorded_.end(),
            [](const Recorded& a, const Recorded& b) { return a.process < b.process; });
  for (const Recorded& of : recorded_) {
    sink.OnProcess(of.process, of.name);
    for (const TraceName& name : of.names) {
      if (name.of != Named::kThread || name.id == 0) continue;
      const ThreadId id{static_cast<uint32_t>(threads_.size() + 1)};
      if (!threads_.try_emplace(ThreadKey(of.process, name.id), id).second) continue;
      sink.OnThread(id, of.process, Legible(TextOf(name)));
    }
  }
  absl::flat_hash_set<uint32_t> told;
  for (const Recorded& of : recorded_) {
    for (const TraceName& name : of.names) {
      if (name.of == Named::kEvent) events_.try_emplace(name.id, ChannelId{name.channel});
      if (name.of != Named::kChannel || !told.insert(name.id).second) continue;
      sink.OnChannel(ChannelId{name.id}, of.process, Legible(TextOf(name)));
    }
  }
}

ThreadId TraceMerge::FindThread(ProcessId process, uint32_t thread) const {
  auto found = threads_.find(ThreadKey(process, thread));
  return found == threads_.end() ? ThreadId::kNone : found->second;
}

// -- Records

// From the run's begin.
int64_t TraceMerge::Within(uint64_t ticks) const {
  return static_cast<int64_t>(std::clamp(ticks, scale_.begin_ticks, scale_.end_ticks) -
                              scale_.begin_ticks);
}

uint32_t TraceMerge::KeepText(std::string_view text) {
  if (text.empty()) return 0;
  if (texts_.back() != text) texts_.emplace_back(text);
  return static_cast<uint32_t>(texts_.size() - 1);
}

void TraceMerge::Read(Recorded& from) {
  for (const std::vector<TraceRecord>& ring : from.rings) ReadRing(from, ring);
  from.rings.clear();
}

void TraceMerge::ReadRing(Recorded& from, const std::vector<TraceRecord>& ring) {
  messages_.BeginRing();
  bool begun = false;  // of a text whose beginning was overwritten the rest says nothing
  for (size_t i = 0; i < ring.size(); ++i) {
    const TraceRecord& record = ring[i];
    if (record.kind == RecordKind::kText) {
      if (begun) ++from.senseless;
      continue;
    }
    begun = true;
    TracedRecord traced;
    traced.ticks = traced.begun = Within(record.ticks);
    traced.thread = FindThread(from.process, record.thread);
    traced.process = from.process;
    traced.record = record;
    if (record.kind == RecordKind::kReceive || record.kind == RecordKind::kPulseReceived) {
      traced.begun = std::max<int64_t>(traced.ticks - record.extra, 0);
    }
    uint32_t text = 0;
    if (record.kind == RecordKind::kCounter || record.kind == RecordKind::kMark) {
      text = KeepText(TextAfter(ring, i));
      while (i + 1 < ring.size() && ring[i + 1].kind == RecordKind::kText) ++i;
    }
    if (traced.thread != ThreadId::kNone) messages_.Add(traced);
    if (!ReadOne(traced, text)) ++from.senseless;
  }
}

// False if it makes no sense. Messages are told when all are known.
bool TraceMerge::ReadOne(const TracedRecord& traced, uint32_t text) {
  const TraceRecord& record = traced.record;
  const bool of_kernel = record.thread == 0;
  const bool known = traced.thread != ThreadId::kNone;
  Told told = {.ticks = traced.ticks,
               .value = record.value,
               .thread = traced.thread,
               .process = traced.process,
               .object = ChannelId{record.object},
               .text = text,
               .state = record.state};
  switch (record.kind) {
    case RecordKind::kSend:
    case RecordKind::kSendFailed:
    case RecordKind::kAnswered:
    case RecordKind::kReceive:
    case RecordKind::kReply:
      return known;
    case RecordKind::kState:
      if (!known || record.state > static_cast<uint8_t>(ThreadState::kDead)) return false;
      told.value = 0;
      break;
    case RecordKind::kPriority:
      if (!known) return false;
      told.kind = TraceKind::kPriority;
      told.priority = record.state;
      told.state = 0;
      told.value = record.extra & 0xff;
      break;
    case RecordKind::kEventSent:
      told.object = ChannelId::kNone;
      if (auto channel = events_.find(record.object); channel != events_.end()) {
        told.object = channel->second;
      }
      [[fallthrough]];
    case RecordKind::kPulseSent:
      if (!known && !of_kernel) return false;
      told.kind = TraceKind::kPulseSent;
      break;
    case RecordKind::kPulseReceived:
      if (!known) return false;
      AddWaitEnd(traced);
      told.kind = TraceKind::kPulseReceived;
      break;
    case RecordKind::kRegion:
      if (record.state > static_cast<uint8_t>(RegionEvent::kEnded)) return false;
      told.kind = TraceKind::kRegion;
      break;
    case RecordKind::kCounter:
    case RecordKind::kMark:
      if (!known) return false;
      told.kind = record.kind == RecordKind::kMark ? TraceKind::kMark : TraceKind::kCounter;
      break;
    default:
      return false;
  }
  told_.push_back(told);
  return true;
}

// -- Events

void TraceMerge::AddState(const TracedRecord& of, int64_t ticks, ThreadState state,
                          ChannelId channel) {
  told_.push_back({.ticks = ticks,
                   .thread = of.thread,
                   .process = of.process,
                   .object = channel,
                   .state = static_cast<uint8_t>(state)});
}

// A server has got something, perhaps after a wait.
void TraceMerge::AddWaitEnd(const TracedRecord& received) {
  if (received.record.extra > 0) {
    AddState(received, received.begun, ThreadState::kReceive, ChannelId{received.record.object});
  }
  AddState(received, received.ticks, ThreadState::kRunning, ChannelId::kNone);
}

void TraceMerge::AddMessage(const TracedMessage& message, uint32_t serial) {
  const TracedRecord& sent = message.sent;
  const ChannelId channel{sent.record.object};
  auto add = [&](TraceKind kind, const TracedRecord& by, uint64_t value) {
    told_.push_back({.ticks = by.ticks,
                     .value = value,
                     .thread = by.thread,
                     .peer = sent.thread,
                     .process = by.process,
                     .object = channel,
                     .serial = serial,
                     .kind = kind});
  };
  add(TraceKind::kSend, sent, sent.record.extra);
  // When it was answered by somebody who recorded nothing, is not known: then it is not shown
  // waiting, unless it did nothing more.
  const bool waits = message.received || message.ended || message.next == TracedMessage::kNone;
  if (waits) AddState(sent, sent.ticks, ThreadState::kSend, channel);
  if (message.received) {
    AddWaitEnd(*message.received);
    add(TraceKind::kReceive, *message.received, sent.record.extra);
    AddState(sent, message.received->ticks, ThreadState::kReply, channel);
  }
  if (message.replied) add(TraceKind::kReply, *message.replied, message.replied->record.extra);
  if (message.ended) {
    if (message.replied) AddState(sent, message.replied->ticks, ThreadState::kReady, {});
    if (message.ended->record.kind == RecordKind::kSendFailed) {
      add(TraceKind::kSendFailed, *message.ended, message.ended->record.extra);
    }
    AddState(sent, message.ended->ticks, ThreadState::kRunning, {});
  } else if (message.replied) {
    AddState(sent, message.replied->ticks, ThreadState::kRunning, {});
  } else if (message.received && message.next != TracedMessage::kNone) {
    AddState(sent, message.next - 1, ThreadState::kRunning, {});
  }
}

// A process's end is that of its threads.
void TraceMerge::AddExits() {
  for (const Exit& exit : exits_) {
    const int64_t ticks = Within(exit.ticks);
    told_.push_back({.ticks = ticks,
                     .value = static_cast<uint64_t>(exit.status.code),
                     .process = exit.process,
                     .text = KeepText(Legible(exit.status.reason)),
                     .kind = TraceKind::kProcessExit,
                     .state = static_cast<uint8_t>(exit.status.kind)});
    for (const auto& [key, thread] : threads_) {
      if (key >> 32 != Raw(exit.process)) continue;
      told_.push_back({.ticks = ticks,
                       .thread = thread,
                       .process = exit.process,
                       .state = static_cast<uint8_t>(ThreadState::kDead)});
    }
  }
}

void TraceMerge::TellInOrder(TraceSink& sink) {
  std::stable_sort(told_.begin(), told_.end(),
                   [](const Told& a, const Told& b) { return a.ticks < b.ticks; });
  const double ticks = static_cast<double>(scale_.end_ticks - scale_.begin_ticks);
  const double ns_per_tick = ticks > 0 ? static_cast<double>(scale_.end_ns) / ticks : 0;
  absl::flat_hash_map<ThreadId, std::pair<uint8_t, ChannelId>> states;
  for (const Told& told : told_) {
    if (told.kind == TraceKind::kState) {
      const std::pair now = {told.state, told.object};
      auto [state, first] = states.try_emplace(told.thread, now);
      if (!first && std::exchange(state->second, now) == now) continue;
    }
    const double ns = static_cast<double>(std::max<int64_t>(told.ticks, 0)) * ns_per_tick;
    TraceEvent event;
    event.time_ns = std::min(static_cast<int64_t>(ns), scale_.end_ns);
    event.kind = told.kind;
    event.state = told.state;
    event.priority = told.priority;
    event.cpu = kNoCpu;
    event.process = told.process;
    event.thread = told.thread;
    event.peer = told.peer;
    event.object = told.object;
    event.serial = told.serial;
    event.value = told.value;
    event.text = texts_[told.text];
    sink.OnEvent(event);
  }
}

void TraceMerge::Tell(const TickScale& scale, TraceSink& sink) {
  scale_ = scale;
  scale_.end_ticks = std::max(scale.begin_ticks, scale.end_ticks);
  TellNames(sink);
  for (Recorded& from : recorded_) Read(from);
  uint32_t serial = 0;
  for (const TracedMessage& message : messages_.Match()) AddMessage(message, ++serial);
  for (const TracedRecord& stray : messages_.strays()) AddWaitEnd(stray);
  AddExits();
  TellInOrder(sink);
}

}  // namespace parley::host
