# Stand-in of the CMake package of a built Slicer: its macros check their arguments as Slicer's own do, note the
# tests, and install the files where Slicer would. For configuring and installing without Slicer.
set(Slicer_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${CMAKE_CURRENT_LIST_DIR}/CheckMetadata.cmake)
set(Slicer_EXTENSION_CPACK ${CMAKE_CURRENT_LIST_DIR}/Nothing.cmake)
