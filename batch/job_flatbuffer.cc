#include "batch/job_flatbuffer.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "batch/copy_options.h"
#include "batch/policy_options.h"
#include "sandbox/policy_flatbuffer.h"
#include "serialization/verify.h"

// Fields of the schemas are called as in the JSON; the C library has macros of these names, which this file does not
// need.
#undef errno
#undef stdin
#undef stdout
#undef stderr
#include "serialization/job_generated.h"

namespace brood {
namespace {

using flatbuffers::Offset;
using Builder = flatbuffers::FlatBufferBuilder;
using Text = flatbuffers::String;
using Texts = flatbuffers::Vector<Offset<Text>>;

constexpr size_t kMaxIdBytes = 1024;
constexpr uint32_t kMaxRetries = 1000;

absl::Status Invalid(std::string_view field, std::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat("field \"", field, "\": ", problem));
}

absl::Status InvalidLimit(std::string_view field, std::string_view problem) {
  return Invalid(absl::StrCat("limits.", field), problem);
}

// These end up in system calls that take C strings.
absl::Status CheckText(std::string_view text, std::string_view field) {
  if (text.find('\0') == std::string_view::npos) return absl::OkStatus();
  return Invalid(field, "expected a string without NUL characters");
}

absl::Status ReadText(const Text* from, std::string_view field, std::string& to) {
  if (from == nullptr) return absl::OkStatus();
  if (from->size() == 0) return Invalid(field, "expected a string that is not empty");
  to = View(from);
  return CheckText(to, field);
}

absl::Status ReadTexts(const Texts* from, std::string_view field, std::vector<std::string>& to) {
  if (from == nullptr) return absl::OkStatus();
  for (const Text* text : *from) {
    BROOD_RETURN_IF_ERROR(CheckText(View(text), absl::StrCat(field, "[", to.size(), "]")));
    to.emplace_back(View(text));
  }
  return absl::OkStatus();
}

absl::Status ReadWork(const fbs::Job& from, Job& to) {
  if (from.argv() != nullptr && from.target() != nullptr) {
    return Invalid("target", "goes without \"argv\": a job is a program or a function");
  }
  if (from.args() != nullptr && from.target() == nullptr) {
    return Invalid("args", "goes with \"target\" only; arguments of a program belong in \"argv\"");
  }
  BROOD_RETURN_IF_ERROR(ReadText(from.target(), "target", to.target));
  BROOD_RETURN_IF_ERROR(ReadTexts(from.args(), "args", to.args));
  BROOD_RETURN_IF_ERROR(ReadTexts(from.argv(), "argv", to.argv));
  if (!to.target.empty()) return absl::OkStatus();
  if (from.argv() == nullptr) return Invalid("argv", "missing; expected a list of strings, the program first");
  if (to.argv.empty() || to.argv[0].empty()) return Invalid("argv", "expected the program as first element");
  return absl::OkStatus();
}

absl::Status ReadEnvironment(const Texts* from, std::vector<std::string>& to) {
  BROOD_RETURN_IF_ERROR(ReadTexts(from, "env", to));
  for (const std::string& entry : to) {
    if (!entry.empty() && entry[0] != '=') continue;
    return Invalid("env", absl::StrCat("expected \"NAME=VALUE\" or \"NAME\", got \"", entry, "\""));
  }
  return absl::OkStatus();
}

template <typename Parse>
absl::Status ReadFileRules(const Texts* from, std::string_view field, Parse parse, std::vector<FileRule>& to) {
  std::vector<std::string> texts;
  BROOD_RETURN_IF_ERROR(ReadTexts(from, field, texts));
  for (const std::string& text : texts) {
    absl::StatusOr<FileRule> rule = parse(text);
    if (!rule.ok()) return Invalid(field, rule.status().message());
    for (const FileRule& other : to) {
      if (other.destination == rule->destination) {
        return Invalid(field, absl::StrCat("two rules for ", rule->destination));
      }
    }
    to.push_back(*std::move(rule));
  }
  return absl::OkStatus();
}

template <typename Parse, typename Copy>
absl::Status ReadCopies(const Texts* from, std::string_view field, Parse parse, std::vector<Copy>& to) {
  std::vector<std::string> texts;
  BROOD_RETURN_IF_ERROR(ReadTexts(from, field, texts));
  for (const std::string& text : texts) {
    absl::StatusOr<Copy> copy = parse(text);
    if (!copy.ok()) return Invalid(field, copy.status().message());
    to.push_back(*std::move(copy));
  }
  return absl::OkStatus();
}

absl::Status ReadOptions(const fbs::Job& from, PolicyOptions& to) {
  const auto read_only = [](std::string_view text) { return ParseBindRule(text, FileRule::Access::kReadOnly); };
  const auto read_write = [](std::string_view text) { return ParseBindRule(text, FileRule::Access::kReadWrite); };
  BROOD_RETURN_IF_ERROR(ReadFileRules(from.ro(), "ro", read_only, to.files));
  BROOD_RETURN_IF_ERROR(ReadFileRules(from.rw(), "rw", read_write, to.files));
  BROOD_RETURN_IF_ERROR(ReadFileRules(from.tmpfs(), "tmpfs", ParseTmpfsRule, to.files));
  BROOD_RETURN_IF_ERROR(ReadFileRules(from.overlay(), "overlay", ParseOverlayRule, to.files));
  BROOD_RETURN_IF_ERROR(ReadFileRules(from.overlay_kept(), "overlay_kept", ParseKeptOverlayRule, to.files));
  if (from.net() != nullptr) {
    absl::StatusOr<Network> network = ParseNetwork(View(from.net()));
    if (!network.ok()) return Invalid("net", network.status().message());
    to.network = *std::move(network);
  }
  return DecodeLimits(from.limits(), InvalidLimit, to.limits);
}

// "SRC:DEST" or "DEST:SIZE", as a job line has it.
absl::StatusOr<std::string> RuleText(const FileRule& rule) {
  if (rule.kind == FileRule::Kind::kTmpfs) {
    return rule.size_bytes == 0 ? rule.destination : absl::StrCat(rule.destination, ":", rule.size_bytes);
  }
  const bool overlay = rule.kind == FileRule::Kind::kOverlay;
  const bool kept = !rule.changes.empty();
  const std::string text = absl::StrCat(rule.changes, kept ? ":" : "", rule.source, ":", rule.destination,
                                        overlay && rule.size_bytes > 0 ? absl::StrCat(":", rule.size_bytes) : "");
  const absl::StatusOr<FileRule> read = kept ? ParseKeptOverlayRule(text) : overlay ? ParseOverlayRule(text) : ParseBindRule(text, rule.access);
  const bool same = read.ok() && read->source == rule.source && read->destination == rule.destination && read->changes == rule.changes;
  if (same && !rule.optional) return text;
  return Invalid(kept ? "overlay_kept" : overlay ? "overlay" : rule.access == FileRule::Access::kReadOnly ? "ro" : "rw",
                 absl::StrCat("a job cannot say the rule for ", rule.destination, "; use a policy file"));
}

absl::StatusOr<std::string> NetworkText(const Network& network) {
  switch (network.mode) {
    case NetworkMode::kNone:
      return "none";
    case NetworkMode::kLoopback:
      return "loopback";
    case NetworkMode::kHost:
      return "host";
    case NetworkMode::kAllow:
      return absl::StrCat("allow:", absl::StrJoin(network.to, ","));
  }
  return Invalid("net", "unknown mode");
}

struct OptionTexts {
  std::vector<std::string> ro;
  std::vector<std::string> rw;
  std::vector<std::string> tmpfs;
  std::vector<std::string> overlay;
  std::vector<std::string> overlay_kept;
  std::string net;  // Empty: not set.
};

absl::StatusOr<OptionTexts> TextsOf(const PolicyOptions& options) {
  if (options.hostname.has_value() || options.environment.has_value() || !options.allow_weaker.empty() || !options.bpf_files.empty() ||
      options.process != ProcessAttributes()) {
    return Invalid("options", "a job cannot say a host name, an environment, weaker layers, filters or attributes; use a policy file");
  }
  OptionTexts texts;
  for (const FileRule& rule : options.files) {
    BROOD_ASSIGN_OR_RETURN(std::string text, RuleText(rule));
    const bool read_only = rule.access == FileRule::Access::kReadOnly;
    std::vector<std::string>& list =
        rule.kind == FileRule::Kind::kTmpfs     ? texts.tmpfs
        : !rule.changes.empty()                 ? texts.overlay_kept
        : rule.kind == FileRule::Kind::kOverlay ? texts.overlay
                                                : (read_only ? texts.ro : texts.rw);
    list.push_back(std::move(text));
  }
  if (options.network.has_value()) {
    BROOD_ASSIGN_OR_RETURN(texts.net, NetworkText(*options.network));
  }
  return texts;
}

Offset<Text> WriteText(Builder& builder, const std::string& text) {
  return text.empty() ? 0 : builder.CreateString(text);
}

Offset<Texts> WriteTexts(Builder& builder, const std::vector<std::string>& texts) {
  return texts.empty() ? 0 : builder.CreateVectorOfStrings(texts);
}

bool HasAny(const Limits& limits) {
  return limits.memory_bytes || limits.processes || limits.cpu_time || limits.wall_time || limits.output_bytes ||
         limits.file_size_bytes || limits.open_files || limits.core_bytes || limits.cpus_milli ||
         limits.cpu_weight || limits.io_weight || limits.io_rate_bytes || limits.disk_bytes || limits.cpu_set || !limits.rlimits.empty() || limits.grace;
}

}  // namespace

absl::StatusOr<std::string> EncodeJob(const Job& job) {
  BROOD_ASSIGN_OR_RETURN(const OptionTexts options, TextsOf(job.options));
  Builder builder;
  const auto id = builder.CreateString(job.id);
  const auto argv = WriteTexts(builder, job.argv);
  const auto target = WriteText(builder, job.target);
  const auto args = WriteTexts(builder, job.args);
  const auto env = WriteTexts(builder, job.env);
  const auto cwd = WriteText(builder, job.cwd);
  const auto stdin_path = WriteText(builder, job.stdin_path);
  const auto stdout_path = WriteText(builder, job.stdout_path);
  const auto stderr_path = WriteText(builder, job.stderr_path);
  const auto policy = WriteText(builder, job.policy);
  const auto ro = WriteTexts(builder, options.ro);
  const auto rw = WriteTexts(builder, options.rw);
  const auto tmpfs = WriteTexts(builder, options.tmpfs);
  const auto overlay = WriteTexts(builder, options.overlay);
  const auto overlay_kept = WriteTexts(builder, options.overlay_kept);
  const auto net = WriteText(builder, options.net);
  const auto limits = HasAny(job.options.limits) ? EncodeLimits(builder, job.options.limits) : Offset<fbs::Limits>();
  std::vector<std::string> copy_in_texts;
  for (const CopyIn& copy : job.copy_in) copy_in_texts.push_back(CopyInText(copy));
  std::vector<std::string> copy_out_texts;
  for (const CopyOut& copy : job.copy_out) copy_out_texts.push_back(CopyOutText(copy));
  const auto copy_in = WriteTexts(builder, copy_in_texts);
  const auto copy_out = WriteTexts(builder, copy_out_texts);
  fbs::JobBuilder table(builder);
  table.add_id(id);
  table.add_argv(argv);
  table.add_target(target);
  table.add_args(args);
  table.add_env(env);
  table.add_cwd(cwd);
  table.add_stdin(stdin_path);
  table.add_stdout(stdout_path);
  table.add_stderr(stderr_path);
  table.add_policy(policy);
  table.add_ro(ro);
  table.add_rw(rw);
  table.add_tmpfs(tmpfs);
  table.add_overlay(overlay);
  table.add_overlay_kept(overlay_kept);
  table.add_net(net);
  table.add_limits(limits);
  if (job.retries.has_value()) table.add_retries(static_cast<uint32_t>(*job.retries));
  table.add_copy_in(copy_in);
  table.add_copy_out(copy_out);
  fbs::FinishJobBuffer(builder, table.Finish());
  return std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
}

absl::StatusOr<Job> DecodeJob(std::string_view bytes) {
  if (bytes.size() > kMaxJobBytes) {
    return absl::InvalidArgumentError(absl::StrCat("job: ", bytes.size(), " bytes; at most ", kMaxJobBytes));
  }
  const AlignedBytes aligned(bytes);
  const absl::StatusOr<const fbs::Job*> verified = Verified<fbs::Job>(aligned.view(), fbs::JobIdentifier(), "job");
  if (!verified.ok()) return absl::InvalidArgumentError(verified.status().message());
  const fbs::Job& from = **verified;
  Job job;
  job.id = View(from.id());
  if (job.id.empty() || job.id.size() > kMaxIdBytes || job.id.find('\0') != std::string::npos) {
    return Invalid("id", absl::StrCat("expected 1 to ", kMaxIdBytes, " bytes without NUL"));
  }
  BROOD_RETURN_IF_ERROR(ReadEnvironment(from.env(), job.env));
  BROOD_RETURN_IF_ERROR(ReadText(from.cwd(), "cwd", job.cwd));
  BROOD_RETURN_IF_ERROR(ReadText(from.stdin(), "stdin", job.stdin_path));
  BROOD_RETURN_IF_ERROR(ReadText(from.stdout(), "stdout", job.stdout_path));
  BROOD_RETURN_IF_ERROR(ReadText(from.stderr(), "stderr", job.stderr_path));
  BROOD_RETURN_IF_ERROR(ReadText(from.policy(), "policy", job.policy));
  BROOD_RETURN_IF_ERROR(ReadOptions(from, job.options));
  BROOD_RETURN_IF_ERROR(ReadCopies(from.copy_in(), "copy_in", ParseCopyIn, job.copy_in));
  BROOD_RETURN_IF_ERROR(ReadCopies(from.copy_out(), "copy_out", ParseCopyOut, job.copy_out));
  if (from.retries().has_value()) {
    if (*from.retries() > kMaxRetries) return Invalid("retries", absl::StrCat("expected 0 to ", kMaxRetries));
    job.retries = static_cast<int>(*from.retries());
  }
  BROOD_RETURN_IF_ERROR(ReadWork(from, job));
  return job;
}

}  // namespace brood
