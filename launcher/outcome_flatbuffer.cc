#include "launcher/outcome_flatbuffer.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/own_process.h"
#include "base/status.h"
#include "serialization/outcome_generated.h"
#include "serialization/verify.h"

namespace brood {
namespace {

using flatbuffers::Offset;
using Builder = flatbuffers::FlatBufferBuilder;

Offset<flatbuffers::String> Text(Builder& builder, std::string_view text) {
  return builder.CreateString(text.data(), text.size());
}

using WrittenEnding = std::pair<fbs::Ending, Offset<void>>;

// One overload for each ending: a new one does not compile until it can be written.
struct EndingWriter {
  Builder& builder;

  WrittenEnding operator()(const Exited& ending) const {
    return {fbs::Ending::Exited, fbs::CreateExited(builder, ending.code).Union()};
  }
  WrittenEnding operator()(const Signaled& ending) const {
    return {fbs::Ending::Signaled, fbs::CreateSignaled(builder, ending.signal, ending.core_dumped).Union()};
  }
  WrittenEnding operator()(const TimedOut&) const {
    return {fbs::Ending::TimedOut, fbs::CreateTimedOut(builder).Union()};
  }
  WrittenEnding operator()(const LimitHit& ending) const {
    const auto limit = Text(builder, LayerName(ending.limit));
    return {fbs::Ending::LimitHit, fbs::CreateLimitHit(builder, limit).Union()};
  }
  WrittenEnding operator()(const Violation& ending) const {
    const auto syscall = Text(builder, ending.syscall);
    const auto args = builder.CreateVector(ending.args.data(), ending.args.size());
    const auto arch = Text(builder, ending.arch);
    std::vector<flatbuffers::Offset<fbs::StackFrame>> frames;
    for (const auto& [address, function, offset, file] : ending.stack) {
      const auto function_text = Text(builder, function);
      const auto file_text = Text(builder, file);
      frames.push_back(fbs::CreateStackFrame(builder, address, function_text, offset, file_text));
    }
    const auto stack = builder.CreateVector(frames);
    const auto stack_end = Text(builder, ending.stack_end);
    std::vector<flatbuffers::Offset<flatbuffers::String>> texts;
    for (const std::string& text : ending.decoded) texts.push_back(Text(builder, text));
    const auto decoded = builder.CreateVector(texts);
    return {fbs::Ending::Violation, fbs::CreateViolation(builder, syscall, ending.number, args, arch, ending.tid,
                                                         ending.instruction_pointer, stack, stack_end, decoded)
                                        .Union()};
  }
  WrittenEnding operator()(const SetupFailed& ending) const {
    const auto step = Text(builder, ending.step);
    const auto detail = Text(builder, ending.detail);
    return {fbs::Ending::SetupFailed, fbs::CreateSetupFailed(builder, step, ending.error_number, detail).Union()};
  }
  WrittenEnding operator()(const Lost& ending) const {
    const auto reason = Text(builder, ending.reason);
    return {fbs::Ending::Lost, fbs::CreateLost(builder, reason).Union()};
  }
};

absl::Status Invalid(std::string_view field, std::string_view why) {
  return absl::DataLossError(absl::StrCat("outcome: ", field, ": ", why));
}

absl::StatusOr<Layer> ReadLayer(const flatbuffers::String* name, std::string_view field) {
  const std::optional<Layer> layer = LayerFromName(View(name));
  if (!layer.has_value()) return Invalid(field, absl::StrCat("unknown layer \"", View(name), "\""));
  return *layer;
}

absl::StatusOr<Violation> ReadViolation(const fbs::Violation& from) {
  Violation violation;
  violation.syscall = View(from.syscall());
  violation.number = from.number();
  if (from.args() == nullptr || from.args()->size() != violation.args.size()) {
    return Invalid("violation: args", "a system call has six");
  }
  if (!IsAligned(from.args())) return Invalid("violation: args", "misaligned");
  std::copy(from.args()->begin(), from.args()->end(), violation.args.begin());
  violation.arch = View(from.arch());
  violation.tid = from.tid();
  violation.instruction_pointer = from.instruction_pointer();
  if (from.stack() != nullptr) {
    for (const fbs::StackFrame* frame : *from.stack()) {
      violation.stack.push_back({.address = frame->address(),
                                 .function = std::string(View(frame->function())),
                                 .offset = frame->offset(),
                                 .file = std::string(View(frame->file()))});
    }
  }
  violation.stack_end = View(from.stack_end());
  if (from.decoded() != nullptr) {
    for (const flatbuffers::String* text : *from.decoded()) violation.decoded.emplace_back(View(text));
  }
  return violation;
}

absl::Status ReadEnding(const fbs::Outcome& from, Outcome& to) {
  constexpr int kMaxSignal = 64;  // signal(7).
  switch (from.ending_type()) {
    case fbs::Ending::NONE:
      break;
    case fbs::Ending::Exited: {
      const int64_t code = from.ending_as_Exited()->code();
      if (code < 0 || code > HighestExitCode()) {
        return Invalid("exited: code", absl::StrCat(code, " is not in 0 to ", HighestExitCode()));
      };
      to.ending = Exited{code};
      return absl::OkStatus();
    }
    case fbs::Ending::Signaled: {
      const fbs::Signaled& signaled = *from.ending_as_Signaled();
      if (signaled.signal() < 1 || signaled.signal() > kMaxSignal) {
        return Invalid("signaled: signal", absl::StrCat(signaled.signal(), " is no signal"));
      }
      to.ending = Signaled{signaled.signal(), signaled.core_dumped()};
      return absl::OkStatus();
    }
    case fbs::Ending::TimedOut:
      to.ending = TimedOut{};
      return absl::OkStatus();
    case fbs::Ending::LimitHit: {
      BROOD_ASSIGN_OR_RETURN(const Layer limit, ReadLayer(from.ending_as_LimitHit()->limit(), "limit hit: limit"));
      to.ending = LimitHit{limit};
      return absl::OkStatus();
    }
    case fbs::Ending::Violation: {
      BROOD_ASSIGN_OR_RETURN(to.ending, ReadViolation(*from.ending_as_Violation()));
      return absl::OkStatus();
    }
    case fbs::Ending::SetupFailed: {
      const fbs::SetupFailed& failed = *from.ending_as_SetupFailed();
      to.ending =
          SetupFailed{std::string(View(failed.step())), failed.error_number(), std::string(View(failed.detail()))};
      return absl::OkStatus();
    }
    case fbs::Ending::Lost:
      to.ending = Lost{std::string(View(from.ending_as_Lost()->reason()))};
      return absl::OkStatus();
  }
  // The verifier lets unknown members of a union pass, so that old readers can skip them. An ending cannot be skipped.
  return Invalid("ending", absl::StrCat("unknown kind ", static_cast<int>(from.ending_type())));
}

absl::Status ReadNotified(const fbs::Outcome& from, Outcome& to) {
  if (from.notified() == nullptr) return absl::OkStatus();
  for (const fbs::Notified* entry : *from.notified()) {
    Notified notified{.syscall = std::string(View(entry->syscall())), .number = entry->number(), .count = entry->count()};
    if (entry->first_args() == nullptr || entry->first_args()->size() != notified.first_args.size()) {
      return Invalid("notified: first_args", "a system call has six");
    }
    if (!IsAligned(entry->first_args())) return Invalid("notified: first_args", "misaligned");
    std::copy(entry->first_args()->begin(), entry->first_args()->end(), notified.first_args.begin());
    to.notified.push_back(std::move(notified));
  }
  return absl::OkStatus();
}

StreamResult ReadStream(const fbs::Stream* from) {
  if (from == nullptr) return {};
  return {.bytes = from->bytes(), .truncated = from->truncated(), .error_number = from->error_number()};
}

}  // namespace

std::string EncodeOutcome(const Outcome& outcome) {
  Builder builder;
  const auto [kind, ending] = std::visit(EndingWriter{builder}, outcome.ending);
  const fbs::Usage usage(absl::ToInt64Nanoseconds(outcome.usage.wall_time),
                         absl::ToInt64Nanoseconds(outcome.usage.cpu_time), outcome.usage.memory_peak_bytes,
                         outcome.usage.max_rss_bytes);
  const bool started = outcome.start != absl::InfinitePast();
  std::vector<std::string> limits_hit;
  for (const Layer layer : outcome.limits_hit) limits_hit.emplace_back(LayerName(layer));
  const auto written_limits = builder.CreateVectorOfStrings(limits_hit);
  std::vector<Offset<fbs::Enforced>> enforced;
  for (const auto& [layer, by_what] : outcome.enforced) {
    const auto name = Text(builder, LayerName(layer));
    enforced.push_back(fbs::CreateEnforced(builder, name, Text(builder, by_what)));
  }
  const auto written_enforced = builder.CreateVector(enforced);
  const auto kept_groups = builder.CreateVector(outcome.kept_groups);
  std::vector<Offset<fbs::Notified>> notified;
  for (const Notified& entry : outcome.notified) {
    const auto syscall = Text(builder, entry.syscall);
    const auto args = builder.CreateVector(entry.first_args.data(), entry.first_args.size());
    notified.push_back(fbs::CreateNotified(builder, syscall, entry.number, entry.count, args));
  }
  const auto written_notified = builder.CreateVector(notified);
  std::vector<Offset<fbs::Refused>> refused;
  for (const RefusedConnection& entry : outcome.refused) {
    const auto to = Text(builder, entry.to);
    refused.push_back(fbs::CreateRefused(builder, to, entry.count));
  }
  const auto written_refused = builder.CreateVector(refused);
  std::vector<Offset<fbs::CopiedFile>> copied;
  for (const auto& [source, destination, file_bytes, problem] : outcome.copied) {
    const auto from = Text(builder, source);
    const auto to = Text(builder, destination);
    copied.push_back(fbs::CreateCopiedFile(builder, from, to, file_bytes, Text(builder, problem)));
  }
  const auto written_copied = builder.CreateVector(copied);
  const fbs::Stream stdout_result(outcome.stdout_result.bytes, outcome.stdout_result.truncated, outcome.stdout_result.error_number);
  const fbs::Stream stderr_result(outcome.stderr_result.bytes, outcome.stderr_result.truncated, outcome.stderr_result.error_number);
  fbs::FinishOutcomeBuffer(
      builder, fbs::CreateOutcome(
                   builder, kind, ending, &usage,
                   started ? flatbuffers::Optional<int64_t>(absl::ToUnixNanos(outcome.start)) : flatbuffers::nullopt,
                   written_limits, written_enforced, kept_groups, &stdout_result, &stderr_result,
                   written_notified, written_refused, written_copied));
  return std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
}

absl::StatusOr<Outcome> DecodeOutcome(std::string_view bytes) {
  if (bytes.size() > kMaxOutcomeBytes) {
    return absl::DataLossError(absl::StrCat("outcome: ", bytes.size(), " bytes; at most ", kMaxOutcomeBytes));
  }
  const AlignedBytes aligned(bytes);
  BROOD_ASSIGN_OR_RETURN(const auto* const from,
                         Verified<fbs::Outcome>(aligned.view(), fbs::OutcomeIdentifier(), "outcome"));
  Outcome outcome;
  BROOD_RETURN_IF_ERROR(ReadEnding(*from, outcome));
  if (from->usage() != nullptr) {
    const fbs::Usage& usage = *from->usage();
    if (usage.wall_ns() < 0 || usage.cpu_ns() < 0) return Invalid("usage", "a time below 0");
    outcome.usage = {.wall_time = absl::Nanoseconds(usage.wall_ns()),
                     .cpu_time = absl::Nanoseconds(usage.cpu_ns()),
                     .memory_peak_bytes = usage.memory_peak_bytes(),
                     .max_rss_bytes = usage.max_rss_bytes()};
  }
  if (from->start_unix_ns().has_value()) outcome.start = absl::FromUnixNanos(*from->start_unix_ns());
  if (from->limits_hit() != nullptr) {
    for (const flatbuffers::String* name : *from->limits_hit()) {
      BROOD_ASSIGN_OR_RETURN(const Layer layer, ReadLayer(name, "limits_hit"));
      outcome.limits_hit.push_back(layer);
    }
  }
  if (from->enforced() != nullptr) {
    for (const fbs::Enforced* entry : *from->enforced()) {
      BROOD_ASSIGN_OR_RETURN(const Layer layer, ReadLayer(entry->layer(), "enforced"));
      if (!outcome.enforced.emplace(layer, View(entry->by())).second) {
        return Invalid("enforced", absl::StrCat("two entries for ", LayerName(layer)));
      }
    }
  }
  if (!IsAligned(from->kept_groups())) return Invalid("kept_groups", "misaligned");
  if (from->kept_groups() != nullptr)
    outcome.kept_groups.assign(from->kept_groups()->begin(), from->kept_groups()->end());
  BROOD_RETURN_IF_ERROR(ReadNotified(*from, outcome));
  if (from->refused() != nullptr) {
    for (const fbs::Refused* entry : *from->refused()) outcome.refused.push_back({std::string(View(entry->to())), entry->count()});
  }
  if (from->copied() != nullptr) {
    for (const fbs::CopiedFile* file : *from->copied()) {
      outcome.copied.push_back({std::string(View(file->source())), std::string(View(file->destination())), file->bytes(),
                                std::string(View(file->problem()))});
    }
  }
  outcome.stdout_result = ReadStream(from->stdout_result());
  outcome.stderr_result = ReadStream(from->stderr_result());
  return outcome;
}

}  // namespace brood
