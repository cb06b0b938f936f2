"""What a planning system takes: structure names, RT Structure Sets, DICOM SEG."""
