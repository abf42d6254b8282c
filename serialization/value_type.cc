#include "serialization/value_type.h"

#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood {
namespace {

using Kind = ValueType::Kind;
using Tree = absl::StatusOr<std::unique_ptr<ValueType>>;

constexpr int kMaxDepth = 100;

struct Simple {
  std::string_view name;
  Kind kind;
  bool is_signed = false;
  unsigned bits = 0;
};
constexpr Simple kSimple[] = {
    {"bool", Kind::kBool},
    {"char", Kind::kChar},
    {"int8", Kind::kInteger, true, 8},
    {"int16", Kind::kInteger, true, 16},
    {"int32", Kind::kInteger, true, 32},
    {"int64", Kind::kInteger, true, 64},
    {"uint8", Kind::kInteger, false, 8},
    {"uint16", Kind::kInteger, false, 16},
    {"uint32", Kind::kInteger, false, 32},
    {"uint64", Kind::kInteger, false, 64},
    {"float", Kind::kFloat},
    {"double", Kind::kDouble},
    {"string", Kind::kString},
    {"bytes", Kind::kBytes},
    {"none", Kind::kNone},
    {"handle", Kind::kHandle},
    {"status", Kind::kStatus},
    {"duration", Kind::kDuration},
    {"time", Kind::kTime},
};

struct Generic {
  std::string_view name;
  Kind kind;
  size_t parts;  // 0: any number.
};
constexpr Generic kGeneric[] = {
    {"optional", Kind::kOptional, 1}, {"status_or", Kind::kStatusOr, 1}, {"vector", Kind::kVector, 1},
    {"set", Kind::kSet, 1},           {"array", Kind::kArray, 1},        {"map", Kind::kMap, 2},
    {"pair", Kind::kTuple, 2},        {"tuple", Kind::kTuple, 0},        {"variant", Kind::kVariant, 0},
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Tree Type() {
    if (++depth_ > kMaxDepth) return Fail();
    const size_t begin = at_;
    Tree type = Unnamed();
    --depth_;
    if (type.ok()) (*type)->name = std::string(text_.substr(begin, at_ - begin));
    return type;
  }

  bool Take(std::string_view token) {
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }

  bool AtEnd() const { return at_ == text_.size(); }

  absl::Status Fail() const {
    return absl::InvalidArgumentError(absl::StrCat("type \"", text_, "\": not understood from character ", at_ + 1, " on"));
  }

 private:
  static bool IsWordCharacter(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; }

  // Also "jobs::Point", but not the colon after a field's name.
  std::string_view Word() {
    const size_t begin = at_;
    while (at_ < text_.size()) {
      if (IsWordCharacter(text_[at_])) {
        ++at_;
      } else if (text_.substr(at_, 2) == "::") {
        at_ += 2;
      } else {
        break;
      }
    }
    return text_.substr(begin, at_ - begin);
  }

  Tree Unnamed() {
    auto type = std::make_unique<ValueType>();
    const bool is_enum = Take("enum:");
    const std::string_view word = Word();
    if (Take("{")) return Struct(word, std::move(type));
    for (const Generic& generic : kGeneric) {
      if (word == generic.name && Take("<")) return Parts(generic, std::move(type));
    }
    for (const Simple& simple : kSimple) {
      if (word != simple.name) continue;
      if (is_enum && simple.kind != Kind::kInteger && simple.kind != Kind::kBool && simple.kind != Kind::kChar) return Fail();
      type->kind = simple.kind;
      type->is_signed = simple.is_signed;
      type->bits = simple.bits;
      return type;
    }
    const auto outer = open_.find(word);
    if (outer == open_.end()) return Fail();
    type->kind = Kind::kOuter;
    type->outer = outer->second;
    return type;
  }

  Tree Parts(const Generic& generic, std::unique_ptr<ValueType> type) {
    type->kind = generic.kind;
    do {
      BROOD_ASSIGN_OR_RETURN(std::unique_ptr<ValueType> part, Type());
      type->parts.push_back(std::move(part));
      if (generic.kind == Kind::kArray) {
        if (!Take(",") || !absl::SimpleAtoi(Word(), &type->count)) return Fail();
        break;
      }
    } while (Take(","));
    if (generic.parts != 0 && type->parts.size() != generic.parts) return Fail();
    if (!Take(">")) return Fail();
    return type;
  }

  Tree Struct(std::string_view name, std::unique_ptr<ValueType> type) {
    type->kind = Kind::kStruct;
    const ValueType*& open = open_[name];
    const ValueType* const hidden = std::exchange(open, type.get());
    while (!Take("}")) {
      if (!type->fields.empty() && !Take(",")) return Fail();
      type->fields.emplace_back(Word());
      if (!Take(":")) return Fail();
      BROOD_ASSIGN_OR_RETURN(std::unique_ptr<ValueType> field, Type());
      type->parts.push_back(std::move(field));
    }
    open_[name] = hidden;
    if (hidden == nullptr) open_.erase(name);
    return type;
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  std::map<std::string_view, const ValueType*> open_;
};

// A tree has the name of each of its parts.
absl::Status CheckSize(std::string_view text) {
  constexpr size_t kMaxBytes = size_t{64} << 10;
  if (text.size() <= kMaxBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("a type whose name takes ", text.size(), " bytes; at most ", kMaxBytes));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ValueType>> ParseValueType(std::string_view name) {
  BROOD_RETURN_IF_ERROR(CheckSize(name));
  Parser parser(name);
  Tree type = parser.Type();
  if (type.ok() && !parser.AtEnd()) return parser.Fail();
  return type;
}

absl::StatusOr<std::vector<std::unique_ptr<ValueType>>> ParseParameters(std::string_view signature) {
  BROOD_RETURN_IF_ERROR(CheckSize(signature));
  Parser parser(signature);
  std::vector<std::unique_ptr<ValueType>> types;
  if (!parser.Take("(")) return parser.Fail();
  while (!parser.Take(")")) {
    if (!types.empty() && !parser.Take(",")) return parser.Fail();
    BROOD_ASSIGN_OR_RETURN(std::unique_ptr<ValueType> type, parser.Type());
    types.push_back(std::move(type));
  }
  if (!parser.Take("->")) return parser.Fail();
  return types;
}

}  // namespace brood
