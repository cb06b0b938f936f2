# SlicerExtensionCPack packs what is installed.
