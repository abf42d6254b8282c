#include "batch/output_files.h"

#include <map>
#include <string_view>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "batch/file_identity.h"
#include "batch/files.h"
#include "batch/text.h"

namespace brood {
namespace {

constexpr size_t kMaxShownErrors = 20;

class Outputs {
 public:
  Outputs(const std::string& job_file, const std::string& output_dir, const std::vector<TakenFile>& taken) : job_file_(job_file), output_dir_(output_dir) {
    for (const TakenFile& one : taken) {
      for (const std::string& identity : one.identities) owners_.emplace(identity, Owner{.what = one.what});
    }
  }

  void Add(const Job& job) {
    line_ = job.line;
    if (job.programs.empty()) return AddProgram(job, job.id, "", {});
    for (size_t i = 0; i < job.programs.size(); ++i) {
      bool piped[3] = {};
      for (const ProgramPipe& pipe : job.pipes) {
        if (pipe.from.program == i && pipe.from.fd <= 2) piped[pipe.from.fd] = true;
      }
      AddProgram(job.programs[i], absl::StrCat(job.id, ".", i), absl::StrCat("programs[", i, "]."), piped);
    }
  }

  absl::Status status() const {
    if (bad_ == 0) return absl::OkStatus();
    std::string message = absl::StrJoin(errors_, "\n");
    if (bad_ > errors_.size()) absl::StrAppend(&message, "\n", job_file_, ": ", bad_ - errors_.size(), " more files that are written twice");
    return absl::InvalidArgumentError(message);
  }

 private:
  // Who writes it, "" being the job of `line`, by its field.
  struct Owner {
    std::string what;
    int line = 0;
    std::string field;
  };

  // `piped` of its streams go to another program.
  void AddProgram(const Job& job, const std::string& name, const std::string& prefix, const bool (&piped)[3]) {
    const std::vector<std::string> input = job.stdin_path.empty() ? std::vector<std::string>() : IdentitiesOf(job.stdin_path, LastLink::kFollow);
    const auto path_of = [&](const std::string& own, int fd) {
      const bool of_its_name = own.empty() && !output_dir_.empty() && !piped[fd];
      return of_its_name ? absl::StrCat(output_dir_, "/", FileNameOf(name), fd == 1 ? "/stdout" : "/stderr") : own;
    };
    const std::vector<std::string> out = AddStream(path_of(job.stdout_path, 1), input, absl::StrCat(prefix, "stdout"), {});
    // Both streams to one file is as 2>&1.
    (void)AddStream(path_of(job.stderr_path, 2), input, absl::StrCat(prefix, "stderr"), out);
    for (size_t i = 0; i < job.copy_out.size(); ++i) {
      Take(IdentitiesOf(job.copy_out[i].destination, LastLink::kReplace), job.copy_out[i].destination, absl::StrCat(prefix, "copy_out[", i, "]"));
    }
  }

  std::vector<std::string> AddStream(const std::string& path, const std::vector<std::string>& input, const std::string& field, const std::vector<std::string>& same) {
    if (path.empty()) return {};
    std::vector<std::string> identities = IdentitiesOf(path, LastLink::kFollow);
    const auto among = [&](const std::vector<std::string>& others) {
      return absl::c_any_of(identities, [&](const std::string& one) { return absl::c_linear_search(others, one); });
    };
    if (among(input)) {
      AddError(field, absl::StrCat(path, " is its \"stdin\" too, and would be emptied before it is read"));
    } else if (!among(same)) {
      Take(identities, path, field);
    }
    return identities;
  }

  void Take(const std::vector<std::string>& identities, const std::string& path, const std::string& field) {
    for (const std::string& identity : identities) {
      const auto [owner, inserted] = owners_.emplace(identity, Owner{.line = line_, .field = field});
      if (inserted || (owner->second.line == line_ && owner->second.field == field)) continue;
      const auto& [what, line, other] = owner->second;
      const std::string whose = !what.empty() ? what : absl::StrCat("the \"", other, "\" of line ", line);
      return AddError(field, absl::StrCat(path, " is ", whose, what.empty() ? " already, which would be lost" : ""));
    }
  }

  void AddError(const std::string& field, const std::string& problem) {
    if (++bad_ <= kMaxShownErrors) errors_.push_back(Printable(absl::StrCat(job_file_, ":", line_, ": field \"", field, "\": ", problem, "; give each a file of its own")));
  }

  const std::string& job_file_;
  const std::string& output_dir_;
  std::map<std::string, Owner, std::less<>> owners_;
  int line_ = 0;
  std::vector<std::string> errors_;
  size_t bad_ = 0;
};

}  // namespace

absl::Status CheckOutputFiles(const std::vector<Job>& jobs, const std::string& job_file, const std::string& output_dir, const std::vector<TakenFile>& taken) {
  Outputs outputs(job_file, output_dir, taken);
  for (const Job& job : jobs) outputs.Add(job);
  return outputs.status();
}

}  // namespace brood
