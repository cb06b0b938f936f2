# What SlicerExtensionGenerateConfig asks for.
foreach(name CONTRIBUTORS DESCRIPTION DEPENDS)
  if("${EXTENSION_${name}}" STREQUAL "")
    message(FATAL_ERROR "EXTENSION_${name} is empty")
  endif()
endforeach()
