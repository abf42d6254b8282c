#include "batch/job_flatbuffer.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "batch/copy_options.h"
#include "batch/file_rules.h"
#include "batch/joined_programs.h"
#include "batch/policy_options.h"
#include "sandbox/layer.h"
#include "sandbox/made_files.h"
#include "sandbox/policy_flatbuffer.h"

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

absl::Status Invalid(std::string_view field, std::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat("field \"", field, "\": ", problem));
}

bool SameRule(const FileRule& one, const FileRule& other) {
  return one.kind == other.kind && one.source == other.source && one.destination == other.destination &&
         (one.kind != FileRule::Kind::kBind || one.access == other.access) &&
         one.size_bytes == other.size_bytes && one.changes == other.changes && one.optional == other.optional && one.text == other.text &&
         one.mode == other.mode && one.no_exec == other.no_exec;
}

// A field of a job that holds file rules, and how it says one but for its layers.
struct RuleField {
  const char* name;
  std::string text;
  absl::StatusOr<FileRule> read;  // What is read from the text.
};

RuleField FieldOf(const FileRule& rule) {
  const std::string bind = absl::StrCat(rule.source, ":", rule.destination);
  const auto sized = [&](std::string text) { return rule.size_bytes > 0 ? absl::StrCat(text, ":", rule.size_bytes) : text; };
  switch (rule.kind) {
    case FileRule::Kind::kTmpfs:
      return {"tmpfs", sized(rule.destination), ParseTmpfsRule(sized(rule.destination))};
    case FileRule::Kind::kOverlay: {
      if (rule.changes.empty()) return {"overlay", sized(bind), ParseOverlayRule(sized(bind))};
      const std::string kept = absl::StrCat(rule.changes, ":", bind);
      return {"overlay_kept", kept, ParseKeptOverlayRule(kept)};
    }
    case FileRule::Kind::kMerged:
      return {"overlay_ro", bind, ParseMergedRule(bind)};
    case FileRule::Kind::kSymlink: {
      const std::string link = absl::StrCat(rule.text, ":", rule.destination);
      return {"symlink", link, ParseSymlinkRule(link)};
    }
    case FileRule::Kind::kDirectory: {
      const std::string directory = absl::StrCat(rule.destination, rule.mode.has_value() ? absl::StrCat(":", ModeText(*rule.mode)) : "");
      return {"dir", directory, ParseDirectoryRule(directory)};
    }
    case FileRule::Kind::kFile:
      return {"content", "", absl::UnimplementedError("")};
    case FileRule::Kind::kBind:
      break;
  }
  const char* const name = rule.access == FileRule::Access::kReadOnly ? "ro" : rule.access == FileRule::Access::kReadWrite ? "rw" : "device";
  return {name, bind, ParseBindRule(bind, rule.access)};
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
  std::map<std::string_view, std::vector<std::string>> files;  // By the field.
  std::string net;  // Empty: not set.
};

absl::StatusOr<OptionTexts> TextsOf(const PolicyOptions& options) {
  if (options.environment.has_value() || !options.bpf_files.empty() || options.process != ProcessAttributes()) {
    return Invalid("options", "a job cannot say an environment, filters or attributes; use a policy file");
  }
  OptionTexts texts;
  for (const FileRule& rule : options.files) {
    const RuleField field = FieldOf(rule);
    const bool same = field.read.ok() && SameRule(*field.read, rule);
    if (!same) return Invalid(field.name, absl::StrCat("a job cannot say the rule for ", rule.destination, "; use a policy file"));
    texts.files[field.name].push_back(field.text);
    for (const std::string& layer : rule.layers) texts.files["overlay_below"].push_back(absl::StrCat(layer, ":", rule.destination));
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
  BROOD_ASSIGN_OR_RETURN(OptionTexts options, TextsOf(job.options));
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
  const auto ro = WriteTexts(builder, options.files["ro"]);
  const auto rw = WriteTexts(builder, options.files["rw"]);
  const auto tmpfs = WriteTexts(builder, options.files["tmpfs"]);
  const auto overlay = WriteTexts(builder, options.files["overlay"]);
  const auto overlay_kept = WriteTexts(builder, options.files["overlay_kept"]);
  const auto overlay_ro = WriteTexts(builder, options.files["overlay_ro"]);
  const auto overlay_below = WriteTexts(builder, options.files["overlay_below"]);
  const auto symlink = WriteTexts(builder, options.files["symlink"]);
  const auto dir = WriteTexts(builder, options.files["dir"]);
  const auto device = WriteTexts(builder, options.files["device"]);
  const auto no_exec = WriteTexts(builder, job.options.no_exec);
  const auto net = WriteText(builder, options.net);
  const auto limits = HasAny(job.options.limits) ? EncodeLimits(builder, job.options.limits) : Offset<fbs::Limits>();
  std::vector<std::string> copy_in_texts;
  for (const CopyIn& copy : job.copy_in) copy_in_texts.push_back(CopyInText(copy));
  std::vector<std::string> copy_out_texts;
  for (const CopyOut& copy : job.copy_out) copy_out_texts.push_back(CopyOutText(copy));
  const auto copy_in = WriteTexts(builder, copy_in_texts);
  const auto copy_out = WriteTexts(builder, copy_out_texts);
  const auto tty = job.terminal.has_value() ? WriteText(builder, TerminalSizeText(*job.terminal)) : Offset<Text>();
  const auto programs = WriteTexts(builder, job.program_texts);
  const auto pipes = WriteTexts(builder, job.pipe_texts);
  const auto stop = job.program_texts.empty() ? Offset<Text>() : WriteText(builder, std::string(StopWord(job.stop)));
  const PolicyOptions& own = job.options;
  const auto label = WriteText(builder, own.label.value_or(""));
  const auto proc = own.proc.has_value() ? WriteText(builder, *own.proc == ProcAccess::kReadWrite ? "rw" : "ro") : Offset<Text>();
  const auto hostname = WriteText(builder, own.hostname.value_or(""));
  const auto groups = own.groups.has_value() ? builder.CreateVector(*own.groups) : Offset<flatbuffers::Vector<uint32_t>>();
  std::vector<std::string> layers;
  for (const Layer layer : own.allow_weaker) layers.emplace_back(LayerName(layer));
  const auto allow_weaker = WriteTexts(builder, layers);
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
  table.add_overlay_ro(overlay_ro);
  table.add_overlay_below(overlay_below);
  table.add_symlink(symlink);
  table.add_dir(dir);
  table.add_device(device);
  table.add_noexec(no_exec);
  table.add_net(net);
  table.add_limits(limits);
  if (job.retries.has_value()) table.add_retries(static_cast<uint32_t>(*job.retries));
  table.add_copy_in(copy_in);
  table.add_copy_out(copy_out);
  table.add_tty(tty);
  table.add_programs(programs);
  table.add_pipes(pipes);
  table.add_stop(stop);
  table.add_label(label);
  table.add_proc(proc);
  table.add_hostname(hostname);
  table.add_groups(groups);
  table.add_allow_weaker(allow_weaker);
  fbs::FinishJobBuffer(builder, table.Finish());
  return std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
}

}  // namespace brood
