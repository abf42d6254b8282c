#include "serialization/field_coverage.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "flatbuffers/minireflect.h"

namespace brood {
namespace {

using flatbuffers::TypeCode;
using flatbuffers::TypeTable;

const TypeTable* Inner(const TypeTable* type, TypeCode code) {
  return code.sequence_ref >= 0 && code.base_type == flatbuffers::ET_SEQUENCE ? type->type_refs[code.sequence_ref]()
                                                                              : nullptr;
}

// The member of a union that an element of its type table stands for; null for NONE.
const TypeTable* Member(const TypeTable* union_type, size_t index) {
  return Inner(union_type, union_type->type_codes[index]);
}

void AddFields(const TypeTable* type, const std::string& prefix, std::set<std::string>& fields) {
  for (size_t i = 0; i < type->num_elems; ++i) {
    const std::string path = absl::StrCat(prefix, type->names[i]);
    const TypeTable* inner = Inner(type, type->type_codes[i]);
    if (inner == nullptr || inner->st != flatbuffers::ST_UNION) fields.insert(path);
    if (inner == nullptr) continue;
    if (inner->st != flatbuffers::ST_UNION) {
      AddFields(inner, path + ".", fields);
      continue;
    }
    for (size_t member = 1; member < inner->num_elems; ++member) {
      const std::string member_path = absl::StrCat(path, ".", inner->names[member]);
      fields.insert(member_path);
      AddFields(Member(inner, member), member_path + ".", fields);
    }
  }
}

class Collector {
 public:
  explicit Collector(std::set<std::string>* fields) : fields_(*fields) {}

  void Table(const uint8_t* data, const TypeTable* type, const std::string& prefix) {
    const auto* const table = reinterpret_cast<const flatbuffers::Table*>(data);
    for (size_t i = 0; i < type->num_elems; ++i) {
      const uint8_t* field = table->GetAddressOf(flatbuffers::FieldIndexToOffset(static_cast<uint16_t>(i)));
      if (field == nullptr) continue;
      const uint8_t* previous =
          i == 0 ? nullptr : table->GetAddressOf(flatbuffers::FieldIndexToOffset(static_cast<uint16_t>(i - 1)));
      Field(field, previous, type, i, absl::StrCat(prefix, type->names[i]));
    }
  }

 private:
  static const uint8_t* Follow(const uint8_t* field) { return field + flatbuffers::ReadScalar<uint32_t>(field); }

  void Field(const uint8_t* field, const uint8_t* previous, const TypeTable* type, size_t index,
             const std::string& path) {
    const TypeCode code = type->type_codes[index];
    const TypeTable* inner = Inner(type, code);
    if (inner != nullptr && inner->st == flatbuffers::ST_UNION) {
      const uint8_t member = previous == nullptr ? 0 : *previous;
      if (member == 0 || member >= inner->num_elems) return;
      const std::string member_path = absl::StrCat(path, ".", inner->names[member]);
      fields_.insert(member_path);
      Table(Follow(field), Member(inner, member), member_path + ".");
      return;
    }
    fields_.insert(path);
    if (inner == nullptr) return;
    if (!code.is_repeating) {
      Sequence(inner->st == flatbuffers::ST_STRUCT ? field : Follow(field), inner, path + ".");
      return;
    }
    const uint8_t* vector = Follow(field);
    const auto size = flatbuffers::ReadScalar<uint32_t>(vector);
    const size_t stride = flatbuffers::InlineSize(static_cast<flatbuffers::ElementaryType>(code.base_type), inner);
    for (uint32_t i = 0; i < size; ++i) {
      const uint8_t* element = vector + sizeof(uint32_t) + i * stride;
      Sequence(inner->st == flatbuffers::ST_STRUCT ? element : Follow(element), inner, path + ".");
    }
  }

  void Sequence(const uint8_t* data, const TypeTable* type, const std::string& prefix) {
    if (type->st == flatbuffers::ST_TABLE) return Table(data, type, prefix);
    // A struct has all of its fields: those that are not zero were written.
    for (size_t i = 0; i < type->num_elems; ++i) {
      const auto elementary = static_cast<flatbuffers::ElementaryType>(type->type_codes[i].base_type);
      const uint8_t* field = data + type->values[i];
      const uint8_t* end = field + flatbuffers::InlineSize(elementary, Inner(type, type->type_codes[i]));
      const bool zero = std::all_of(field, end, [](uint8_t byte) { return byte == 0; });
      if (!zero) fields_.insert(absl::StrCat(prefix, type->names[i]));
    }
  }

  std::set<std::string>& fields_;
};

}  // namespace

std::set<std::string> FieldsOf(const TypeTable* type) {
  std::set<std::string> fields;
  AddFields(type, "", fields);
  return fields;
}

std::set<std::string> SetFields(std::string_view bytes, const TypeTable* type) {
  std::set<std::string> fields;
  const auto* const root = flatbuffers::GetRoot<flatbuffers::Table>(bytes.data());
  Collector(&fields).Table(reinterpret_cast<const uint8_t*>(root), type, "");
  return fields;
}

}  // namespace brood
