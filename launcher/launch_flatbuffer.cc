#include "launcher/launch_flatbuffer.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "sandbox/mounts_child.h"
#include "serialization/launch_generated.h"
#include "serialization/verify.h"

namespace brood::internal {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;
using Texts = flatbuffers::Vector<Offset<flatbuffers::String>>;

constexpr int kHighestChildFd = 4096;  // As LaunchInternal.
constexpr size_t kMaxProcessorWords = 128;

class Encoder {
 public:
  // Every record is taken apart by a structured binding, so that a new field does not compile until it travels, or says
  // here why it does not.
  EncodedLaunch Encode(const LaunchRecord& record, const Birth& birth, absl::Duration patience) {
    // Not sent: copies, terminals and relayed streams, which LaunchInternal refuses for functions on a server, and does itself for programs; what only a slot has, and its plan, which
    // is sent before;
    // `served` and `stays`, which are the receiver's to say; what lies in the caller's memory, and the wiping of the caller's
    // arguments, which the server has not got.
    const auto& [plan, target, candidates, argv, envp, cwd_text, cwd_required, wait_for_tree, served, slot_number, slot_watches_ipc,
                 slot_watches_net, slot, slot_size, stays, let_go,
                 wipe_begin, wipe_end, child_fds, child_fd_count, lowest_free, control, report_pipe, owner,
                 guardian_socket, init_socket, setup_socket, stream_records, input, own_terminal, stack_sink, wall_ns, grace_ns, cpu_ns, output_bytes,
                 output_limited, sampled_memory_bytes, sample_usage, counted_processes, cgroup, copies] = record;
    const int report = Place(report_pipe);  // First, so that the server finds it in whatever it cannot read.
    const auto written_birth = WriteBirth(birth);
    const auto written_plan = WritePlan(builder_, plan);
    const auto environment = TextsOf(envp);
    Offset<Texts> words, places;
    if (target.kind == LaunchTarget::Kind::kProgram) {
      words = TextsOf(argv);
      places = TextsOf(candidates);
    }
    const auto cwd = Text(cwd_text);
    std::vector<Offset<fbs::FdMove>> moves;
    for (size_t i = 0; i < child_fd_count; ++i) {
      const auto& [source, child_fd, read_only_path] = child_fds[i];
      const auto path = Text(read_only_path);
      moves.push_back(fbs::CreateFdMove(builder_, Place(source), child_fd, path));
    }
    const auto written_moves = builder_.CreateVector(moves);
    std::vector<Offset<fbs::Stream>> streams;
    for (const auto& [pipe, sink, keep_bytes, copy, copy_bytes, ends_sink] : stream_records) {
      streams.push_back(fbs::CreateStream(builder_, Place(pipe), Place(sink), keep_bytes));
    }
    const auto written_streams = builder_.CreateVector(streams);
    std::vector<Offset<fbs::CgroupDirectory>> cgroups;
    const auto& [directories, cgroup_count, limits_memory, limits_processes, counts_cpu] = cgroup;
    for (size_t i = 0; i < cgroup_count; ++i) {
      const auto& [role, directory, tasks, path_text] = directories[i];
      const auto path = Text(path_text);
      cgroups.push_back(
          fbs::CreateCgroupDirectory(builder_, static_cast<uint8_t>(role), Place(directory), Place(tasks), path));
    }
    const auto written_cgroups = builder_.CreateVector(cgroups);

    fbs::LaunchBuilder launch(builder_);
    launch.add_birth(written_birth);
    launch.add_plan(written_plan);
    launch.add_environment(environment);
    if (!cwd.IsNull()) launch.add_cwd(cwd);
    launch.add_cwd_required(cwd_required);
    launch.add_wait_for_tree(wait_for_tree);
    launch.add_setup_number(target.setup_child_fd);
    launch.add_awaits_word(target.awaits_word);
    launch.add_moves(written_moves);
    launch.add_control(Place(control));
    launch.add_report(report);
    launch.add_owner(Place(owner));
    launch.add_guardian_socket(Place(guardian_socket));
    launch.add_init_socket(Place(init_socket));
    launch.add_setup_socket(Place(setup_socket));
    launch.add_streams(written_streams);
    launch.add_stack_sink(Place(stack_sink));
    launch.add_wall_ns(wall_ns);
    launch.add_grace_ns(grace_ns);
    launch.add_cpu_ns(cpu_ns);
    launch.add_output_bytes(output_bytes);
    launch.add_output_limited(output_limited);
    launch.add_sampled_memory_bytes(sampled_memory_bytes);
    launch.add_sample_usage(sample_usage);
    launch.add_counted_processes(counted_processes);
    launch.add_cgroups(written_cgroups);
    launch.add_cgroup_limits_memory(limits_memory);
    launch.add_cgroup_limits_processes(limits_processes);
    launch.add_cgroup_counts_cpu(counts_cpu);
    launch.add_in_slot(slot != nullptr);
    if (!words.IsNull()) launch.add_argv(words);
    if (!places.IsNull()) launch.add_candidates(places);
    if (patience != absl::InfiniteDuration()) {
      launch.add_patience_ns(static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Nanoseconds(patience), 1)));
    }
    fbs::FinishLaunchBuffer(builder_, launch.Finish());
    result_.bytes.assign(reinterpret_cast<const char*>(builder_.GetBufferPointer()), builder_.GetSize());
    return std::move(result_);
  }

 private:
  // Where `fd` is in the list; one that is there already is not sent twice.
  int Place(int fd) {
    if (fd < 0) return -1;
    const auto [at, added] = places_.emplace(fd, static_cast<int>(result_.fds.size()));
    if (added) result_.fds.push_back(fd);
    return at->second;
  }

  Offset<flatbuffers::String> Text(const char* text) {
    return text != nullptr ? builder_.CreateString(text) : Offset<flatbuffers::String>();
  }

  Offset<Texts> TextsOf(const char* const* texts) {
    std::vector<Offset<flatbuffers::String>> written;
    for (; *texts != nullptr; ++texts) written.push_back(builder_.CreateString(*texts));
    return builder_.CreateVector(written);
  }

  Offset<fbs::Birth> WriteBirth(const Birth& birth) {
    const auto& [cwd, file_mask, rlimits, scheduling, processors, io_priority, oom_score_adj, process_group] = birth;
    std::vector<fbs::Rlimit> limits;
    for (size_t i = 0; i < rlimits.size(); ++i) limits.emplace_back(i, rlimits[i].rlim_cur, rlimits[i].rlim_max);
    const auto written_rlimits = builder_.CreateVectorOfStructs(limits);
    const auto written_scheduling = builder_.CreateVector(reinterpret_cast<const uint8_t*>(&scheduling), sizeof(scheduling));
    const auto written_processors = builder_.CreateVector(processors);
    return fbs::CreateBirth(builder_, Place(cwd), file_mask, written_rlimits, written_scheduling, written_processors,
                            io_priority, oom_score_adj, process_group);
  }

  Builder builder_;
  EncodedLaunch result_;
  std::map<int, int> places_;
};

const char* Pointer(const flatbuffers::String* text) { return text != nullptr ? text->c_str() : nullptr; }

absl::Status Damaged(std::string_view what) { return absl::DataLossError(absl::StrCat("launch: ", what)); }

// The checks are against accidents: who may send a request may start anything that the server could.
class Decoder {
 public:
  Decoder(ReceivedLaunch& out, const std::vector<UniqueFd>& fds) : out_(out), record_(out.record), fds_(fds) {}

  absl::Status Decode() {
    BROOD_ASSIGN_OR_RETURN(const auto* const from, Verified<fbs::Launch>(out_.bytes, fbs::LaunchIdentifier(), "launch"));
    BROOD_RETURN_IF_ERROR(ReadBirth(*from->birth()));
    BROOD_RETURN_IF_ERROR(ReadPlan(*from->plan(), out_.plan));
    record_.plan = out_.plan.plan;
    record_.envp = Pointers(from->environment());
    record_.cwd = Pointer(from->cwd());
    record_.cwd_required = from->cwd_required();
    record_.wait_for_tree = from->wait_for_tree();
    record_.target.kind = LaunchTarget::Kind::kFunction;
    record_.target.setup_child_fd = from->setup_number();
    record_.target.awaits_word = from->awaits_word();
    if (from->argv() != nullptr) {
      if (!from->in_slot() || from->argv()->size() == 0) return Damaged("a program without a slot, or without a name");
      record_.target.kind = LaunchTarget::Kind::kProgram;
      record_.argv = Pointers(from->argv());
      record_.candidates = Pointers(from->candidates());
    }
    BROOD_RETURN_IF_ERROR(ReadDescriptors(*from));
    BROOD_RETURN_IF_ERROR(ReadCgroups(*from));
    record_.wall_ns = from->wall_ns();
    record_.grace_ns = from->grace_ns();
    record_.cpu_ns = from->cpu_ns();
    record_.output_bytes = from->output_bytes();
    record_.output_limited = from->output_limited();
    record_.sampled_memory_bytes = from->sampled_memory_bytes();
    record_.sample_usage = from->sample_usage();
    record_.counted_processes = from->counted_processes();
    if (from->in_slot()) record_.slot = "";
    if (from->patience_ns() > 0) {
      out_.patience = absl::Nanoseconds(static_cast<int64_t>(std::min<uint64_t>(from->patience_ns(), INT64_MAX)));
    }
    if (record_.slot == nullptr && !NeedsNoInit(record_) && (record_.guardian_socket < 0 || record_.init_socket < 0)) found_ = false;
    if (!found_) return Damaged("a descriptor that did not come");
    return absl::OkStatus();
  }

 private:
  const char* const* Pointers(const Texts* texts) {
    std::vector<const char*>& pointers = out_.pointers.emplace_back();
    if (texts != nullptr) {
      for (const flatbuffers::String* text : *texts) pointers.push_back(text->c_str());
    }
    pointers.push_back(nullptr);
    return pointers.data();
  }

  int Fd(int place) {
    if (place == -1) return -1;
    if (place >= 0 && static_cast<size_t>(place) < fds_.size()) return fds_[static_cast<size_t>(place)].get();
    found_ = false;
    return -1;
  }

  absl::Status ReadBirth(const fbs::Birth& from) {
    Birth& birth = out_.birth;
    birth.cwd = Fd(from.cwd());
    birth.file_mask = from.file_mask();
    if (from.rlimits() == nullptr || from.rlimits()->size() != birth.rlimits.size() || !IsAligned(from.rlimits())) {
      return Damaged("birth: not all resource limits");
    }
    for (size_t i = 0; i < birth.rlimits.size(); ++i) {
      const fbs::Rlimit* limit = from.rlimits()->Get(static_cast<flatbuffers::uoffset_t>(i));
      birth.rlimits[i] = {.rlim_cur = limit->soft(), .rlim_max = limit->hard()};
    }
    if (from.scheduling() == nullptr || from.scheduling()->size() != sizeof(birth.scheduling)) return Damaged("birth: scheduling");
    std::memcpy(&birth.scheduling, from.scheduling()->data(), sizeof(birth.scheduling));
    if (from.processors() == nullptr || from.processors()->size() > kMaxProcessorWords || !IsAligned(from.processors())) {
      return Damaged("birth: processors");
    }
    birth.processors.assign(from.processors()->begin(), from.processors()->end());
    birth.io_priority = from.io_priority();
    birth.oom_score_adj = from.oom_score_adj();
    birth.process_group = from.process_group();
    return absl::OkStatus();
  }

  absl::Status ReadDescriptors(const fbs::Launch& from) {
    if (from.moves() != nullptr) {
      for (const fbs::FdMove* move : *from.moves()) {
        if (move->child() < 0 || move->child() > kHighestChildFd) return Damaged("a number that no child can have");
        out_.moves.push_back({.source = Fd(move->source()),
                              .child_fd = move->child(),
                              .read_only_path = Pointer(move->read_only_path())});
        record_.lowest_free = std::max(record_.lowest_free, move->child() + 1);
        if (out_.moves.back().source < 0) found_ = false;
      }
    }
    record_.child_fds = out_.moves.data();
    record_.child_fd_count = out_.moves.size();
    record_.control = Fd(from.control());
    record_.report = Fd(from.report());
    record_.owner = Fd(from.owner());
    record_.guardian_socket = Fd(from.guardian_socket());
    record_.init_socket = Fd(from.init_socket());
    record_.setup_socket = Fd(from.setup_socket());
    if (from.in_slot() ? record_.report < 0 : !HasGuardianPart(record_)) found_ = false;
    record_.stack_sink = Fd(from.stack_sink());
    if (from.streams() == nullptr || from.streams()->size() != std::size(record_.streams)) return Damaged("streams");
    for (size_t i = 0; i < std::size(record_.streams); ++i) {
      const fbs::Stream* stream = from.streams()->Get(static_cast<flatbuffers::uoffset_t>(i));
      record_.streams[i] = {.pipe = Fd(stream->pipe()), .sink = Fd(stream->sink()), .keep_bytes = stream->keep_bytes()};
    }
    return absl::OkStatus();
  }

  absl::Status ReadCgroups(const fbs::Launch& from) {
    CgroupRecord& cgroup = record_.cgroup;
    if (from.cgroups() != nullptr) {
      if (from.cgroups()->size() > kMaxCgroups) return Damaged("too many cgroups");
      for (const fbs::CgroupDirectory* directory : *from.cgroups()) {
        if (directory->role() > static_cast<uint8_t>(CgroupRecord::Role::kIo)) return Damaged("unknown role of a cgroup");
        cgroup.directories[cgroup.count++] = {.role = static_cast<CgroupRecord::Role>(directory->role()),
                                              .fd = Fd(directory->directory()),
                                              .tasks_fd = Fd(directory->tasks()),
                                              .path = Pointer(directory->path())};
      }
    }
    cgroup.limits_memory = from.cgroup_limits_memory();
    cgroup.limits_processes = from.cgroup_limits_processes();
    cgroup.counts_cpu = from.cgroup_counts_cpu();
    return absl::OkStatus();
  }

  ReceivedLaunch& out_;
  LaunchRecord& record_;
  const std::vector<UniqueFd>& fds_;
  bool found_ = true;  // All descriptors that are named.
};

}  // namespace

bool HasGuardianPart(const LaunchRecord& record) {
  return record.control >= 0 && record.report >= 0 && record.owner >= 0 && record.setup_socket >= 0;
}

EncodedLaunch EncodeLaunch(const LaunchRecord& record, const Birth& birth, absl::Duration patience) {
  return Encoder().Encode(record, birth, patience);
}

absl::StatusOr<std::unique_ptr<ReceivedLaunch>> DecodeLaunch(std::string bytes, const std::vector<UniqueFd>& fds) {
  auto launch = std::make_unique<ReceivedLaunch>();
  launch->bytes = std::move(bytes);
  BROOD_RETURN_IF_ERROR(Decoder(*launch, fds).Decode());
  return launch;
}

}  // namespace brood::internal
